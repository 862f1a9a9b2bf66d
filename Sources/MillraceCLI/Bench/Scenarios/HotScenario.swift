import Millrace
import MillracePostgres

/// Everybody appends to one stream, alone and beside a session that looks at the database as it was before: that keeps every
/// version of the stream's row alive, and an append has to walk past them.
struct HotScenario {
    let stage: BenchStage

    private static let nothing = PostgresStatement.embedded(PackageResources.bench_snapshot_sql)
    /// Parts of a turn, so that its end can be compared with its beginning.
    private static let parts = 10

    func run() async throws -> [ContestResult] {
        var results: [ContestResult] = []
        for callers in [stage.plan.callers.min() ?? 1, stage.plan.clients.max() ?? 1] {
            results.append(try await stage.withStore { store in try await contest(store, callers) })
        }
        return results
    }

    private func contest(_ store: EventStore, _ callers: Int) async throws -> ContestResult {
        try await stage.withClient(connections: 1) { client in
            try await stage.hold(
                Contest(
                    scenario: .hot,
                    title: "one stream, \(callers) \(callers == 1 ? "caller" : "callers")",
                    contestants: [
                        Contest.Contestant(name: "nobody else", kind: .millrace) { order in
                            try await hammer(store, callers, order)
                        },
                        Contest.Contestant(name: "beside an old snapshot", kind: .millrace) { order in
                            try await client.withTransaction(.init(isolation: .repeatableRead, readOnly: true)) {
                                try await $0.query(HotScenario.nothing)
                                return try await hammer(store, callers, order)
                            }
                        },
                    ]
                )
            )
        }
    }

    private func hammer(_ store: EventStore, _ callers: Int, _ order: Contest.TurnOrder) async throws -> Turn {
        let stream = StreamID("order", "hot-\(order.number)")
        var whole = Turn()
        var rates: [Double] = []
        for part in 0..<HotScenario.parts {
            let turn = try await Turn.taken(by: callers, for: order.duration / HotScenario.parts) {
                [stage] task, clock in
                var number = order.number + part + task
                while clock.isRunning {
                    let body = stage.orders[number]
                    let event = NewEvent(type: body.type, data: body.data, metadata: body.metadata)
                    try await clock.time(events: 1) { try await store.append([event], to: stream) }
                    number += 1
                }
            }
            whole.events += turn.events
            whole.seconds += turn.seconds
            whole.latencies.add(turn.latencies)
            rates.append(turn.rate)
        }
        whole.figures["events/s in the first tenth"] = rates.first
        whole.figures["events/s in the last tenth"] = rates.last
        return whole.intoLog
    }
}
