import Millrace
import MillracePostgres

/// An import, chunk by chunk as the command sends them, beside a COPY of the same events.
struct ImportScenario {
    let stage: BenchStage

    /// Lines that a chunk holds unless the command is told otherwise.
    private static let chunk = 5_000

    func run() async throws -> [ContestResult] {
        var results: [ContestResult] = []
        try await stage.withStore { store in
            try await stage.withClient(connections: stage.plan.connections.max() ?? 1) { client in
                for connections in stage.plan.connections {
                    let title =
                        "\(connections) \(connections == 1 ? "connection" : "connections"), "
                        + StreamShape.sixEach.rawValue
                    results.append(
                        try await stage.hold(
                            Contest(
                                scenario: .import,
                                title: title,
                                contestants: [
                                    stage.copied(.sixEach, connections, client), imported(store, connections),
                                ]
                            )
                        )
                    )
                }
            }
        }
        return results
    }

    private func imported(_ store: EventStore, _ connections: Int) -> Contest.Contestant {
        Contest.Contestant(name: "Millrace import", kind: .millrace) { [stage] order in
            try await Turn.taken(by: connections, for: order.duration) { task, clock in
                var events = stage.events(.sixEach, order, writer: task)
                var done = 0
                while clock.isRunning {
                    let chunk = ImportChunk(
                        name: "bench-\(order.number)-\(task)",
                        resumesAfter: Int64(done),
                        through: Int64(done + ImportScenario.chunk),
                        prefixHash: Array("\(done)".utf8),
                        lines: (0..<ImportScenario.chunk).map { _ in events.next().line },
                        isLast: false
                    )
                    try await clock.time(events: ImportScenario.chunk) { _ = try await store.importLines(chunk) }
                    done += ImportScenario.chunk
                }
            }.intoLog
        }
    }
}
