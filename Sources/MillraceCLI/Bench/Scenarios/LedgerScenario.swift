import Millrace
import MillracePostgres

/// What the ledger costs: the same requests with and without chains.
struct LedgerScenario {
    let stage: BenchStage

    private static let origin = "bench.example/ledger"
    private static let ledgered = "ledgered-order"
    private static let initialise: PostgresStatement = "SELECT millrace.init_ledger($1, $2)"
    private static let declare: PostgresStatement = "SELECT millrace.declare_ledgered($1)"

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            let key = try LedgerSigningKey.generate(name: LedgerScenario.origin)
            _ = try await store.client.query(
                LedgerScenario.initialise,
                [.text(LedgerScenario.origin), .text(key.verifierKey.description)]
            )
            _ = try await store.client.query(LedgerScenario.declare, [.textArray([LedgerScenario.ledgered])])
            // That it was begun, and what was declared.
            stage.tally.add(Turn(appended: 2))
            var results: [ContestResult] = []
            for size in [1, stage.plan.requestSizes.max() ?? 1] {
                for shape in size == 1 ? [.few] : stage.plan.shapes {
                    results.append(try await stage.hold(chains(store, size, shape)))
                }
            }
            return results
        }
    }

    private func chains(_ store: EventStore, _ size: Int, _ shape: StreamShape) -> Contest {
        Contest(
            scenario: .ledger,
            title: "\(size.grouped) \(size == 1 ? "event" : "events") a request, one in flight, \(shape.rawValue)",
            contestants: [
                appended(store, size, shape, "order", "append, no chains"),
                appended(store, size, shape, LedgerScenario.ledgered, "append, each event chained"),
            ]
        )
    }

    private func appended(
        _ store: EventStore,
        _ size: Int,
        _ shape: StreamShape,
        _ type: String,
        _ name: String
    ) -> Contest.Contestant {
        Contest.Contestant(name: name, kind: .millrace) { [stage] order in
            try await Turn.taken(by: 1, for: order.duration) { task, clock in
                var events = stage.events(shape, order, writer: task, of: type)
                while clock.isRunning {
                    let request = events.request(of: size)
                    try await clock.time(events: size) { try await store.append(request) }
                }
            }.intoLog
        }
    }
}
