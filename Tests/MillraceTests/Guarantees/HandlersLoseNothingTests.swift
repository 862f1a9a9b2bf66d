import Foundation
import Millrace
import MillracePostgres
import Testing

/// What handlers write through their transactions happens once for every event, in the order of its stream, whatever becomes of workers,
/// connections and PostgreSQL.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct HandlersLoseNothingTests {
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
