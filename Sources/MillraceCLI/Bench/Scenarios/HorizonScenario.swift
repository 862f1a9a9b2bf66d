import Millrace
import MillracePostgres

/// What the horizon costs while writers are at work: its round trip beside that of a statement that does nothing, under the same load.
struct HorizonScenario {
    let stage: BenchStage

    private static let horizon = PostgresStatement.embedded(PackageResources.bench_horizon_sql)
    private static let nothing = PostgresStatement.embedded(PackageResources.bench_nothing_sql)
    private static let flush = PostgresStatement.embedded(PackageResources.bench_flush_sql)
    private static let calls = PostgresStatement.embedded(PackageResources.bench_calls_sql)

    func run() async throws -> [ContestResult] {
        let writers = stage.plan.clients.max() ?? 1
        return try await stage.withStore { store in
            try await stage.withClient(connections: 1) { client in
                [
                    try await stage.hold(
                        Contest(
                            scenario: .horizon,
                            title: "one session asks, \(writers) callers append",
                            measure: .latency,
                            contestants: [
                                asked("SELECT 1", .bare, HorizonScenario.nothing, client, store, writers),
                                asked(
                                    "SELECT millrace.horizon()",
                                    .millrace,
                                    HorizonScenario.horizon,
                                    client,
                                    store,
                                    writers
                                ),
                            ]
                        )
                    )
                ]
            }
        }
    }

    private func asked(
        _ name: String,
        _ kind: Contest.Kind,
        _ statement: PostgresStatement,
        _ client: PostgresClient,
        _ store: EventStore,
        _ writers: Int
    ) -> Contest.Contestant {
        Contest.Contestant(name: name, kind: kind) { [stage] order in
            let before = try await spent(client)
            async let load = stage.appendSingly(store, callers: writers, order)
            var asking = try await Turn.taken(by: 1, for: order.duration) { _, clock in
                while clock.isRunning {
                    try await clock.time(events: 1) { try await client.query(statement) }
                }
            }
            let written = try await load
            asking.appended = written.appended
            asking.figures["events/s appended meanwhile"] = written.rate
            if kind == .millrace, let before, let after = try await spent(client), after.calls > before.calls {
                // What the server itself measured, without the way there and back.
                let microseconds = (after.milliseconds - before.milliseconds) * 1000
                asking.figures["µs in the server"] = microseconds / Double(after.calls - before.calls)
            }
            return asking
        }
    }

    private func spent(_ client: PostgresClient) async throws -> (calls: Int64, milliseconds: Double)? {
        guard stage.countsCalls else { return nil }
        try await client.query(HorizonScenario.flush)
        let row = try await client.query(HorizonScenario.calls, [.text("horizon")]).first
        return try row?.decode(Int64.self, Double.self) ?? (0, 0)
    }
}
