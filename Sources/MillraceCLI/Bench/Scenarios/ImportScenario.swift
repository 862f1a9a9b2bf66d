import Millrace
import MillracePostgres

/// An import beside a COPY of the same events in one transaction.
struct ImportScenario {
    let stage: BenchStage

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
                let events = ImportedEvents(events: stage.events(.sixEach, order, writer: task), clock: clock)
                let imported = try await store.importEvents(from: events, named: "bench-\(order.number)-\(task)")
                clock.count(events: Int(imported.stored))
            }.intoLog
        }
    }
}

/// Events for as long as the clock runs.
private struct ImportedEvents: AsyncSequence {
    let events: BenchEvents
    let clock: TurnClock

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(events: events, clock: clock) }

    struct AsyncIterator: AsyncIteratorProtocol {
        var events: BenchEvents
        let clock: TurnClock

        mutating func next() async -> ImportEvent? {
            guard clock.isRunning else { return nil }
            let next = events.next()
            return ImportEvent(
                NewEvent(type: next.body.type, data: next.body.data, metadata: next.body.metadata),
                to: next.stream
            )
        }
    }
}
