import Foundation
import Millrace
import MillracePostgres
import Synchronization

/// Three worker processes that handle what producers publish, while everything that can go wrong with processes, connections and
/// PostgreSQL is made to go wrong, one thing after the other.
struct ChaosRun: Sendable {
    static let workers = 3
    static let producers = 4
    /// Of HandlerProcess.
    private static let handlers = 2
    static let streams = 40
    /// In these, one event in ten can never be handled; of all it is one in a hundred.
    static let hopelessStreams = 4
    /// Producers wait while so many are left to do.
    private static let backlogLimit: Int64 = 4_000
    /// Events that must have been handled between two acts: whatever was done, the work goes on.
    private static let progress = 100
    static let limit = Duration.seconds(120)

    enum Act: String, CaseIterable, Sendable {
        /// kill -9, and another one in its place.
        case kill
        /// SIGSTOP until the others have its lanes, then SIGCONT.
        case stall
        /// In order, and another one in its place.
        case leave
        case cut
        case cutHalfway
        case lateCommit
        /// kill -9 on PostgreSQL, and a restart.
        case crash
        /// What is parked is tried again, whether or not it is mended.
        case release
    }

    /// Some more often than others: a crash takes long.
    private static let deck: [Act] = [
        .kill, .stall, .cut, .cutHalfway, .lateCommit, .kill, .lateCommit, .release, .stall, .cutHalfway, .leave, .kill,
        .lateCommit, .cut, .crash,
    ]

    let server: CrashableServer
    let proxy: CuttingProxy
    /// Past the proxy.
    let client: PostgresClient
    let seed: UInt64
    let options = WorkerProcess.Options(lease: .milliseconds(1_000), beat: .milliseconds(100), lanes: 6)
    private let tally = Tally()

    private final class Tally: Sendable {
        private let acts = Mutex<[Act: Int]>([:])
        private let events = Counter()
        private let isOver = Atomic(false)

        func count(_ act: Act) { acts.withLock { $0[act, default: 0] += 1 } }
        var all: [Act: Int] { acts.withLock { $0 } }
        func publish(_ count: Int) { events.increment(by: count) }
        var published: Int { events.value }
        func end() { isOver.store(true, ordering: .releasing) }
        var hasEnded: Bool { isOver.load(ordering: .acquiring) }
    }

    init(server: CrashableServer, proxy: CuttingProxy, client: PostgresClient, seed: UInt64) {
        self.server = server
        self.proxy = proxy
        self.client = client
        self.seed = seed
    }

    var acts: [Act: Int] { tally.all }

    var summary: String {
        Act.allCases.map { "\(acts[$0, default: 0]) × \($0.rawValue)" }.joined(separator: ", ")
    }

    /// Publishes and disturbs until the time is over and every act was done; then mends what is hopeless, and returns when all is handled
    /// and the workers are gone.
    func run(for duration: Duration) async throws {
        var crew = Crew(connectionString: proxy.connectionString(for: server.connectionString), options: options)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<ChaosRun.producers {
                group.addTask { try await produce(as: number) }
            }
            for _ in 0..<ChaosRun.workers { try await crew.hire() }
            do {
                try await disturb(&crew, for: duration)
                tally.end()
                try await group.waitForAll()
                try await finish()
            } catch {
                tally.end()
                print("HandlersLoseNothing failed: \(summary); \(await situation())")
                group.cancelAll()
                await crew.killAll()
                throw error
            }
        }
        for worker in crew.members {
            try await within(ChaosRun.limit, "\(worker.name) leaves") { try await worker.leave() }
        }
    }

    // MARK: The producers

    /// Few streams, so that their order matters, and one store each, so that a lost connection is one's own.
    private func produce(as number: Int) async throws {
        var configuration = PostgresConfiguration(proxy.connectionString(for: server.connectionString))
        configuration.maximumConnections = 2
        var dice = Dice(seed: seed &+ UInt64(number))
        try await withClient(configuration) { client in
            let store = EventStore(client)
            while !tally.hasEnded {
                var request = AppendRequest()
                for _ in 0..<Int.random(in: 1...2, using: &dice) {
                    let stream = Int.random(in: 0..<ChaosRun.streams, using: &dice)
                    let events = (0..<Int.random(in: 1...4, using: &dice)).map { _ in
                        NewEvent(type: "chaos.event", data: chore(in: stream, &dice))
                    }
                    request.append(events, to: StreamID("chaos", "\(stream)"))
                }
                try await append(request, to: store)
                tally.publish(request.entries.count)
                // The pace of the load, and no more than can be handled.
                try await eventually("there is room for more", within: ChaosRun.limit) {
                    guard !tally.hasEnded else { return true }
                    return try await backlog(beyondParked: true) ?? .max < ChaosRun.backlogLimit
                }
                _ = try await self.number("SELECT count(*) FROM pg_sleep(\(Double.random(in: 0...0.06, using: &dice)))")
            }
        }
    }

    /// Until it is known to be stored: the same ids make it safe.
    private func append(_ request: AppendRequest, to store: EventStore) async throws {
        try await eventually("a request is stored", within: ChaosRun.limit) {
            do {
                try await store.append(request)
                return true
            } catch EventStoreError.outcomeUnknown, EventStoreError.postgres {
                return false
            }
        }
    }

    private func chore(in stream: Int, _ dice: inout Dice) -> JSON {
        if stream < ChaosRun.hopelessStreams, Int.random(in: 0..<10, using: &dice) == 0 {
            return JSON(#"{"isHopeless":true}"#)
        }
        switch Int.random(in: 0..<100, using: &dice) {
        case 0..<4: return JSON(#"{"failures":\#(Int.random(in: 1...3, using: &dice))}"#)
        case 4..<10: return JSON(#"{"echoes":true}"#)
        default: return .emptyObject
        }
    }

    // MARK: The disturbances

    private func disturb(_ crew: inout Crew, for duration: Duration) async throws {
        let end = ContinuousClock.now + duration
        var dice = Dice(seed: seed &+ 1_000)
        var number = 0
        while ContinuousClock.now < end || number < ChaosRun.deck.count {
            let act = ChaosRun.deck[number % ChaosRun.deck.count]
            number += 1
            try await hasProgress("the work goes on before act \(number), \(act)")
            try await perform(act, &crew, &dice)
            tally.count(act)
        }
        try await hasProgress("the work goes on after the last act")
    }

    private func perform(_ act: Act, _ crew: inout Crew, _ dice: inout Dice) async throws {
        let victim = Int.random(in: 0..<crew.members.count, using: &dice)
        switch act {
        case .kill:
            try await crew.members[victim].kill()
            try await crew.replace(victim)
        case .stall:
            let worker = crew.members[victim]
            try worker.stop()
            defer { try? worker.go() }
            try await eventually("the lanes of a stalled worker move", within: ChaosRun.limit) {
                try await lanes(of: worker.name) == 0
            }
        case .leave:
            let worker = crew.members[victim]
            try await within(ChaosRun.limit, "a worker leaves") { try await worker.leave() }
            try await crew.replace(victim)
        case .cut:
            var chance = dice
            proxy.cut { Int.random(in: 0..<2, using: &chance) == 0 }
            dice = chance
        case .cutHalfway: proxy.set(.halfway)
        case .lateCommit:
            proxy.set(.lateCommit(CuttingProxy.Hold(milliseconds: Int.random(in: 0...500, using: &dice))))
        case .crash:
            try await server.kill()
            try await server.start()
        case .release: try await release()
        }
    }

    /// Of the handlers, by what they have settled.
    private func hasProgress(_ what: String) async throws {
        var start: Int64?
        try await eventually(what, within: ChaosRun.limit) {
            guard
                let settled = try await number(
                    "SELECT coalesce(sum(processed), 0)::bigint FROM millrace.handler_counts"
                )
            else {
                return false
            }
            let began = start ?? settled
            start = began
            return settled >= began + Int64(ChaosRun.progress)
        }
    }

    private func lanes(of worker: String) async throws -> Int64? {
        try await number(
            """
            SELECT count(*) FROM millrace.handler_lanes AS l JOIN millrace.handler_workers AS w USING (handler_id, worker_id)
            WHERE w.name = '\(worker)'
            """
        )
    }

    /// nil while PostgreSQL is down.
    private func number(_ sql: String) async throws -> Int64? {
        do {
            return try await client.query(PostgresStatement(sql, prepared: false)).single().decode(Int64.self, at: 0)
        } catch let error as PostgresError where error.sqlState == nil || error.sqlState?.errorClass == "57" {
            return nil
        }
    }

    /// What everyone is doing, for whoever looks at a failure.
    private func situation() async -> String {
        let rows = try? await client.query(
            """
            SELECT concat_ws(' ', 'lane', l.handler_id, l.lane, l.checkpoint, l.token, w.name, l.leased_until - clock_timestamp())
            FROM millrace.handler_lanes AS l LEFT JOIN millrace.handler_workers AS w USING (handler_id, worker_id)
            UNION ALL
            SELECT concat_ws(' ', 'waiting', p.handler_id, p.aggregate_id, p.version, p.status, p.attempts, p.waiting,
                             p.next_attempt_at - clock_timestamp())
            FROM millrace.parked_events AS p
            UNION ALL
            SELECT concat_ws(' ', 'session', a.pid, a.application_name, a.state, a.wait_event_type, a.wait_event,
                             clock_timestamp() - a.state_change, pg_blocking_pids(a.pid), left(a.query, 80))
            FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend'
            """
        )
        let lines = try? rows?.map { try $0.decode(String.self, at: 0) }
        return lines?.joined(separator: "\n") ?? "PostgreSQL does not answer"
    }

    // MARK: The end

    private func release() async throws {
        try await client.script(
            """
            UPDATE millrace.parked_events SET status = 'retrying', next_attempt_at = clock_timestamp() WHERE status = 'parked';
            NOTIFY handler_channel, 'each'; NOTIFY handler_channel, 'batches';
            """
        )
    }

    private func finish() async throws {
        try await client.query("INSERT INTO chaos.mended (at) VALUES (now())")
        try await eventually("everything is handled", within: ChaosRun.limit) {
            // Whatever failed for the last time just before it was mended is parked yet.
            if try await number("SELECT count(*) FROM millrace.parked_events WHERE status = 'parked'") != 0 {
                try await release()
            }
            return try await backlog() == 0
        }
    }

    /// What is left to do of what was published, for both handlers together; nil while PostgreSQL is down.
    private func backlog(beyondParked: Bool = false) async throws -> Int64? {
        let settled = try await number(
            """
            SELECT (SELECT coalesce(sum(c.processed), 0) FROM millrace.handler_counts AS c)::bigint
                   + (SELECT coalesce(sum(p.waiting + 1), 0) FROM millrace.parked_events AS p
                      WHERE p.status = 'parked' AND \(beyondParked))::bigint
            """
        )
        return settled.map { Int64(tally.published * ChaosRun.handlers) - $0 }
    }
}

/// The workers of a run.
private struct Crew {
    let connectionString: String
    let options: WorkerProcess.Options
    var members: [WorkerProcess] = []
    private var hired = 0

    init(connectionString: String, options: WorkerProcess.Options) {
        self.connectionString = connectionString
        self.options = options
    }

    mutating func hire() async throws { members.append(try await next()) }
    mutating func replace(_ index: Int) async throws { members[index] = try await next() }

    private mutating func next() async throws -> WorkerProcess {
        hired += 1
        return try await WorkerProcess.start("chaos \(hired)", on: connectionString, options)
    }

    func killAll() async {
        for member in members { try? await member.kill() }
    }
}
