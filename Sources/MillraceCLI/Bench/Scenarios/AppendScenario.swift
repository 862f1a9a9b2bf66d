import Millrace
import MillracePostgres

/// Requests of many events, one or more of them in flight, beside one INSERT of as many rows from arrays, and COPY.
struct AppendScenario {
    let stage: BenchStage

    func run() async throws -> [ContestResult] {
        var results: [ContestResult] = []
        let largest = stage.plan.requestSizes.max() ?? 0
        try await stage.withStore { store in
            try await stage.withClient(connections: stage.plan.connections.max() ?? 1) { client in
                for size in stage.plan.requestSizes.sorted(by: >) {
                    for shape in size == largest ? stage.plan.shapes : [.sixEach] {
                        for connections in stage.plan.connections {
                            let contest = contest(size, shape, connections, store, client)
                            results.append(try await stage.hold(contest))
                        }
                    }
                }
            }
        }
        return results
    }

    private func contest(
        _ size: Int,
        _ shape: StreamShape,
        _ connections: Int,
        _ store: EventStore,
        _ client: PostgresClient
    ) -> Contest {
        var contestants = [
            unnested(size, shape, connections, client), appended(size, shape, connections, store),
        ]
        if size == stage.plan.requestSizes.max(), shape == .sixEach {
            contestants.insert(stage.copied(shape, connections, client), at: 1)
        }
        return Contest(
            scenario: .append,
            title: "\(size.grouped) events a request, \(connections) in flight, \(shape.rawValue)",
            contestants: contestants
        )
    }

    private func unnested(
        _ size: Int,
        _ shape: StreamShape,
        _ connections: Int,
        _ client: PostgresClient
    ) -> Contest.Contestant {
        Contest.Contestant(name: "INSERT … SELECT FROM unnest", kind: .bare) { [stage] order in
            try await Turn.taken(by: connections, for: order.duration) { task, clock in
                var events = stage.events(shape, order, writer: task)
                var watch = clock
                try await client.withConnection { connection in
                    while watch.isRunning {
                        let batch = (0..<size).map { _ in events.next() }
                        try await watch.time(events: size) { try await BareStatements.unnest(batch, on: connection) }
                    }
                }
                clock = watch
            }.intoTwin
        }
    }

    private func appended(
        _ size: Int,
        _ shape: StreamShape,
        _ connections: Int,
        _ store: EventStore
    ) -> Contest.Contestant {
        Contest.Contestant(name: "Millrace append", kind: .millrace) { [stage] order in
            try await Turn.taken(by: connections, for: order.duration) { task, clock in
                var events = stage.events(shape, order, writer: task)
                while clock.isRunning {
                    let request = events.request(of: size)
                    try await clock.time(events: size) { try await store.append(request) }
                }
            }.intoLog
        }
    }
}

extension BenchStage {
    /// A COPY on each connection for the whole turn.
    func copied(_ shape: StreamShape, _ connections: Int, _ client: PostgresClient) -> Contest.Contestant {
        Contest.Contestant(name: "binary COPY", kind: .bare) { order in
            try await Turn.taken(by: connections, for: order.duration) { task, clock in
                var events = events(shape, order, writer: task)
                var watch = clock
                try await client.withConnection { connection in
                    try await BareStatements.copy(&events, on: connection, &watch)
                }
                clock = watch
            }.intoTwin
        }
    }
}
