import Millrace
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

/// What users' own tests of handlers are made of.
@Suite(.timeLimit(.minutes(15)))
struct HandlerTestingTests {
    private struct Deposited: TypedEvent {
        static let eventType = "deposited"
        let cents: Int
    }

    private static let balances = Handler("balances", options: HandlerOptions(retry: .never)) { event, context in
        let deposit = try event.decode(Deposited.self)
        guard deposit.cents > 0 else { return .park(because: "nothing was deposited") }
        try await context.transaction.query(
            "INSERT INTO balances VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET cents = balances.cents + excluded.cents",
            [.text(event.stream.aggregateID), .int8(Int64(deposit.cents))]
        )
        return .done
    }

    private func cents(_ store: EventStore) async throws -> [Int64] {
        try await store.client.query("SELECT cents FROM balances ORDER BY account").map {
            try $0.decode(Int64.self, at: 0)
        }
    }

    @Test func givenEventsThenEffectsAndWhatWasParked() async throws {
        try await withTestStore { store in
            try await store.client.script("CREATE TABLE balances (account text PRIMARY KEY, cents bigint NOT NULL)")
            for cents in [100, 50] { try await store.append(Deposited(cents: cents), to: StreamID("account", "a")) }
            for cents in [10, 0, 7] { try await store.append(Deposited(cents: cents), to: StreamID("account", "b")) }
            let report = try await store.handleEverything(with: Self.balances)
            #expect(report.processed == 3)
            #expect(
                report.parked == [
                    .init(
                        stream: StreamID("account", "b"),
                        version: 2,
                        error: "nothing was deposited",
                        attempts: 1,
                        waiting: 1
                    )
                ]
            )
            #expect(try await cents(store) == [150, 10])
        }
    }

    @Test func aHandlerThatDoesNotTolerateDuplicatesShowsIt() async throws {
        try await withTestStore { store in
            try await store.client.script("CREATE TABLE balances (account text PRIMARY KEY, cents bigint NOT NULL)")
            try await store.append(Deposited(cents: 100), to: StreamID("account", "a"))
            let (once, twice) = try await store.effectsOfRepetition(of: Self.balances) { try await cents(store) }
            #expect((once, twice) == ([100], [200]))

            let seen = Mutex<Set<String>>([])
            let tolerant = Handler("tolerant") { _, context in
                _ = seen.withLock { $0.insert(context.idempotencyKey) }
                return .done
            }
            let counts = try await store.effectsOfRepetition(of: tolerant) { seen.withLock { $0.count } }
            #expect(counts == (1, 1))
        }
    }

    @Test func waitingFailsByNameWhereNobodyWorks() async throws {
        try await withTestStore { store in
            try await store.append(Deposited(cents: 100), to: StreamID("account", "a"))
            await #expect(throws: HandlerIsBehind.self) {
                try await store.waitUntilHandled(by: "nobody", within: .milliseconds(20))
            }
        }
    }
}
