import Millrace
import MillracePostgres
import Synchronization

/// What the scenarios of a run share, and where their contests are held.
struct BenchStage: Sendable {
    let plan: BenchPlan
    let server: BenchServer
    let pgbench: Pgbench?
    let orders = BenchOrders(seed: BenchPlan.seed)
    let display: BenchDisplay
    /// The address of the scenario's database.
    let address: String
    let tally = BenchTally()

    /// Whether the server counts the calls of functions here.
    let countsCalls: Bool

    /// A store as a service has it, on connections of its own, all put away afterwards.
    /// - Parameter name: of its sessions.
    func withStore<Value>(
        named name: String = "millrace-bench",
        _ body: (EventStore) async throws -> Value
    ) async throws -> Value {
        var configuration = PostgresConfiguration(address)
        configuration.applicationName = name
        return try await withPostgresClient(configuration, logger: DatabaseOptions.logger) { client in
            let store = EventStore(client, logger: DatabaseOptions.logger)
            let value = try await body(store)
            await store.flush()
            return value
        }
    }

    func withClient<Value>(
        connections: Int,
        _ body: (PostgresClient) async throws -> Value
    ) async throws -> Value {
        try await DatabaseOptions.withClient(address, connections: connections, body)
    }

    func events(
        _ shape: StreamShape,
        _ order: Contest.TurnOrder,
        writer: Int = 0,
        of type: String = "order"
    ) -> BenchEvents {
        BenchEvents(orders, shape, writer: "t\(order.number)-\(writer)", of: type)
    }

    /// Holds a contest with the plan's rounds and turns.
    func hold(_ contest: Contest, warmUp: Duration? = nil) async throws -> ContestResult {
        let parts = contest.measure == .latency ? BenchPlan.shorterTurns : 1
        return try await contest.held(
            rounds: plan.rounds * parts,
            turn: plan.turn / parts,
            warmUp: warmUp ?? plan.warmUp,
            tally: tally
        ) { contestant, round in
            display.show(contest, contestant, round: round, of: plan.rounds * parts)
        }
    }

    /// Fills the log with requests of 1000 events.
    func fill(_ store: EventStore, events count: Int, _ shape: StreamShape = .sixEach) async throws {
        display.say("storing \(count.grouped) events to read")
        var events = BenchEvents(orders, shape, writer: "fill\(tally.nextNumber())")
        var left = count
        while left > 0 {
            let now = min(left, 1000)
            try await store.append(events.request(of: now))
            tally.add(Turn(appended: now))
            left -= now
        }
    }
}

/// What must be in the tables at the end of a scenario.
final class BenchTally: Sendable {
    private struct State {
        var number = 0
        var appended = 0
        var inserted = 0
    }

    private let state = Mutex(State())

    func nextNumber() -> Int {
        state.withLock { state in
            state.number += 1
            return state.number
        }
    }

    func add(_ turn: Turn) {
        state.withLock { state in
            state.appended += turn.appended
            state.inserted += turn.inserted
        }
    }

    var appended: Int { state.withLock { $0.appended } }
    var inserted: Int { state.withLock { $0.inserted } }
}
