import Foundation
import Millrace
import MillracePostgres
import Testing

/// What handlers write through their transactions happens once for every event, in the order of its stream, whatever becomes of workers,
/// connections and PostgreSQL.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct HandlersLoseNothingTests {
    /// How long everything is disturbed: MILLRACE_SOAK_SECONDS, else 15, and until everything was done once.
    static let soak = Duration.seconds(
        ProcessInfo.processInfo.environment["MILLRACE_SOAK_SECONDS"].flatMap(Int.init) ?? 15
    )

    @Test func whileEverythingGoesWrong() async throws {
        try await Self.withChaos { server, proxy, client in
            let run = ChaosRun(server: server, proxy: proxy, client: client, seed: Dice.seed)
            try await run.run(for: Self.soak)
            let audit = try await HandlerAudit(of: client)
            print("HandlersLoseNothing: \(run.summary): \(audit) (seed \(Dice.seed))")
            #expect(audit.isClean, "\(audit) (seed \(Dice.seed))")
            #expect(audit.events > 0)
        }
    }

    /// A worker is stopped in the middle of a transaction, loses its lanes to another one, and goes on. With fencing switched off the same
    /// is what it would be without: this shows that the audit finds it.
    @Test(arguments: [true, false])
    func aStalledWorkerThatGoesOnChangesNothing(isFenced: Bool) async throws {
        try await Self.withChaos { server, _, client in
            let store = EventStore(client)
            if !isFenced { try await Self.switchFencingOff(client) }
            let first = try await WorkerProcess.start("first", on: server.connectionString, Self.quick)
            try await client.withConnection { gate in
                try await gate.query(PostgresStatement("SELECT pg_advisory_lock(4711)", prepared: false))
                let events = [NewEvent(type: "chaos.event", data: JSON(#"{"waits":true}"#))] + Self.events(9)
                try await store.append(events, to: StreamID("chaos", "stalled"))
                try await eventually("both handlers of the first worker are in the middle of a transaction") {
                    try await Self.sessions(client, "first", "wait_event = 'advisory'").count == 2
                }
                let stalled = try await Self.sessions(client, "first", "wait_event = 'advisory'")

                try first.stop()
                let second = try await WorkerProcess.start("second", on: server.connectionString, Self.quick)
                try await eventually("both handlers of the second worker are in the middle of the same") {
                    try await Self.sessions(client, "second", "wait_event = 'advisory'").count == 2
                }
                try await gate.query(PostgresStatement("SELECT pg_advisory_unlock(4711)", prepared: false))
                try await Self.isHandled(client)
                #expect(try await Set(stalled).isSubset(of: Self.sessions(client, "first", "true")))

                try first.go()
                try await eventually("what the first worker had under way has ended") {
                    try await Set(stalled).isDisjoint(with: Self.sessions(client, "first", "true"))
                }
                try await store.append(Self.events(10), to: StreamID("chaos", "stalled"))
                try await Self.isHandled(client)
                for worker in [first, second] { try await worker.leave() }
            }
            let audit = try await HandlerAudit(of: client)
            print("HandlersLoseNothing, a stalled worker \(isFenced ? "with" : "without") fencing: \(audit)")
            if isFenced {
                #expect(audit.isClean, "\(audit)")
            } else {
                #expect(audit.doubled > 0 && audit.disordered > 0, "\(audit)")
            }
        }
    }

    /// The connection is lost while a COMMIT is on its way: the server gets it when the worker has begun anew.
    @Test func aCommitThatComesLateIsNotRepeated() async throws {
        try await Self.withChaos { server, proxy, client in
            let store = EventStore(client)
            let connection = proxy.connectionString(for: server.connectionString)
            let worker = try await WorkerProcess.start("late", on: connection, Self.quick)
            try await eventually("it has its lanes") { try await Self.lanes(client) == 2 * Self.quick.lanes }
            for round in 1...5 {
                let hold = CuttingProxy.Hold(milliseconds: 60_000)
                proxy.set(.lateCommit(hold))
                try await store.append(Self.events(5), to: StreamID("chaos", "late"))
                try await eventually("a commit is held") { hold.hasBegun }
                // It waits for the lane, or gives it back; or the server has given up what was held, because nothing came for long.
                try await eventually("the worker has begun anew, \(round)") {
                    let sessions = "pg_stat_activity WHERE application_name = 'late'"
                    return try await client.text(
                        """
                        SELECT ((SELECT count(*) FROM \(sessions) AND wait_event_type = 'Lock') > 0
                             OR (SELECT count(*) FROM \(sessions) AND query LIKE '%release_lanes%') > 0
                             OR (SELECT count(*) FROM \(sessions) AND state = 'idle in transaction') = 0)::text
                        """
                    ) == "true"
                }
                hold.letGo()
                try await Self.isHandled(client)
            }
            try await worker.leave()
            let audit = try await HandlerAudit(of: client)
            print("HandlersLoseNothing, late commits: \(audit)")
            #expect(audit.isClean, "\(audit)")
        }
    }

    /// A database whose commits do not wait for the disk loses the last ones in a crash; what a worker remembers must not be among them.
    @Test func whereCommitsDoNotWaitForTheDisk() async throws {
        try await Self.withChaos { server, _, client in
            try await client.script("ALTER SYSTEM SET synchronous_commit = off")
            try await client.query("SELECT pg_reload_conf()")
            let store = EventStore(client)
            let worker = try await WorkerProcess.start("forgetful", on: server.connectionString, Self.quick)
            for _ in 1...3 {
                try await store.append(Self.events(20), to: StreamID("chaos", "forgotten"))
                try await Self.isHandled(client)
                try await server.kill()
                try await server.start()
                try await eventually("the server answers again") {
                    do {
                        try await client.query("SELECT 1")
                        return true
                    } catch is PostgresError {
                        return false
                    }
                }
            }
            try await store.append(Self.events(1), to: StreamID("chaos", "forgotten"))
            // Whatever is lost, the last one comes.
            try await eventually("the last event is handled") {
                try await client.text("SELECT count(*)::text FROM chaos.effects WHERE version = 61") == "2"
            }
            try await worker.leave()
            let audit = try await HandlerAudit(of: client)
            print("HandlersLoseNothing, commits that do not wait: \(audit)")
            #expect(audit.isClean, "\(audit)")
        }
    }

    enum Outage: String, CaseIterable, Sendable {
        case killed, silent
    }

    /// Whoever stops a worker has it stopped, whatever PostgreSQL says.
    @Test(arguments: Outage.allCases)
    func aWorkerStopsWhilePostgreSQLIsAway(outage: Outage) async throws {
        try await Self.withChaos { server, proxy, client in
            let connection = proxy.connectionString(for: server.connectionString)
            let worker = try await WorkerProcess.start("leaving", on: connection, Self.quick)
            let store = EventStore(client)
            try await store.append(Self.events(100), to: StreamID("chaos", "left"))
            try await Self.isHandled(client)
            switch outage {
            case .killed: try await server.kill()
            case .silent: proxy.fallSilent()
            }
            try await within(.seconds(100), "the worker ends") { try await worker.leave() }
            if outage == .killed { try await server.start() }
        }
    }

    /// How soon the lanes of a killed worker are handled again, with what is usual: prints it.
    @Test func lanesOfAKilledWorkerAreHandledAgain() async throws {
        let kills = ProcessInfo.processInfo.environment["MILLRACE_SOAK_SECONDS"] == nil ? 2 : 20
        let options = WorkerProcess.Options(lease: .seconds(3), beat: .seconds(1), lanes: 12)
        try await Self.withChaos { server, _, client in
            let store = EventStore(client)
            let streams = (0..<200).map { StreamID("chaos", "\($0)") }
            var workers: [WorkerProcess] = []
            for number in 1...3 {
                workers.append(try await WorkerProcess.start("worker \(number)", on: server.connectionString, options))
            }
            var times: [Duration] = []
            for kill in 1...kills {
                try await eventually("the lanes are shared out") {
                    try await client.texts(
                        """
                        SELECT count(*)::text FROM millrace.handler_lanes AS l JOIN millrace.handler_workers AS w USING (worker_id, handler_id)
                        GROUP BY w.name ORDER BY 1
                        """
                    ) == ["8", "8", "8"]
                }
                let victim = workers.removeFirst()
                try await victim.kill()
                let begin = ContinuousClock.now
                var request = AppendRequest()
                for stream in streams { request.append(Self.events(1), to: stream) }
                try await store.append(request)
                try await Self.isHandled(client)
                times.append(.now - begin)
                workers.append(
                    try await WorkerProcess.start("worker \(kill + 3)", on: server.connectionString, options)
                )
            }
            for worker in workers { try await worker.leave() }
            times.sort()
            print(
                "HandlersLoseNothing, until a killed worker's lanes are handled again (lease 3 s, beat 1 s):",
                "p50 \(times[times.count / 2]), max \(times[times.count - 1]) over \(kills) kills"
            )
            let audit = try await HandlerAudit(of: client)
            #expect(audit.isClean, "\(audit)")
        }
    }
}

// MARK: - What they have in common

extension HandlersLoseNothingTests {
    private static let quick = WorkerProcess.Options(lease: .milliseconds(600), beat: .milliseconds(100), lanes: 2)

    private static func events(_ count: Int) -> [NewEvent] {
        (0..<count).map { _ in NewEvent(type: "chaos.event", data: .emptyObject) }
    }

    /// Returns when every event has had its effects, however often.
    private static func isHandled(_ client: PostgresClient) async throws {
        try await eventually("everything is handled") {
            try await client.text(
                """
                SELECT count(*)::text FROM millrace.events AS e CROSS JOIN unnest(ARRAY['each', 'batches']) AS h (handler)
                WHERE NOT EXISTS (SELECT FROM chaos.effects AS f WHERE f.handler = h.handler AND f.position = e.id)
                """
            ) == "0"
        }
    }

    private static func lanes(_ client: PostgresClient) async throws -> Int {
        let count = try await client.text(
            "SELECT count(*)::text FROM millrace.handler_lanes WHERE worker_id IS NOT NULL"
        )
        return count.flatMap(Int.init) ?? 0
    }

    /// Transactions of a worker, each by a name of its own.
    private static func sessions(_ client: PostgresClient, _ worker: String, _ condition: String) async throws
        -> [String]
    {
        try await client.texts(
            """
            SELECT format('%s %s', pid, xact_start) FROM pg_stat_activity
            WHERE application_name = '\(worker)' AND xact_start IS NOT NULL AND \(condition) ORDER BY pid
            """
        ).compactMap { $0 }
    }

    /// settle_lane and lease_lanes without a look at the token.
    private static func switchFencingOff(_ client: PostgresClient) async throws {
        for (function, fence, nothing) in [
            ("settle_lane", " AND l.token = p_token AND l.checkpoint <= p_checkpoint", ""),
            ("lease_lanes", "WHEN h.lane <> ALL (v_held) THEN 'lost'", ""),
        ] {
            let body = try #require(
                try await client.text("SELECT pg_get_functiondef('millrace.\(function)'::regproc)")
            )
            #expect(body.contains(fence))
            try await client.script(body.replacing(fence, with: nothing))
        }
    }

    private static func withChaos(
        _ body: (CrashableServer, CuttingProxy, PostgresClient) async throws -> Void
    ) async throws {
        try await CrashableServer.run { server in
            try await withClient(PostgresConfiguration(server.connectionString)) { client in
                try await HandlerAudit.prepare(client)
                let socket = try await client.query(
                    """
                    SELECT format(
                        '%s/.s.PGSQL.%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port')
                    )
                    """
                ).single().decode(String.self, at: 0)
                try await CuttingProxy.run(inFrontOf: socket) { proxy in try await body(server, proxy, client) }
            }
        }
    }
}
