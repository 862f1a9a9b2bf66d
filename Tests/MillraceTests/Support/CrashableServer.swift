import Foundation
import Millrace
import MillraceEmbedded
import MillracePostgres
import MillraceTesting

/// A PostgreSQL of the test's own that keeps its promises to the disk, and is killed and started again.
actor CrashableServer {
    /// Nothing writes the log but the sessions themselves, so what no commit has flushed is lost in a crash: the worst
    /// that can happen is what happens.
    private static let settings = [
        "wal_writer_delay = '10s'", "wal_writer_flush_after = '1GB'", "autovacuum = off", "checkpoint_timeout = '1h'",
    ]

    nonisolated let connectionString: String
    private var server: TestServer

    private init() async throws {
        server = try await TestServer.start(.full)
        connectionString = server.postgres.connectionString
    }

    /// Starts one with a migrated database, and removes it afterwards.
    static func run<Value>(_ body: (CrashableServer) async throws -> Value) async throws -> Value {
        let server = try await CrashableServer()
        let outcome: Result<Value, any Error>
        do {
            try await withClient(PostgresConfiguration(server.connectionString)) { client in
                for setting in settings { try await client.script("ALTER SYSTEM SET \(setting)") }
                try await client.query("SELECT pg_reload_conf()")
                try await migrate(client)
            }
            outcome = .success(try await body(server))
        } catch {
            outcome = .failure(error)
        }
        try await server.remove()
        return try outcome.get()
    }

    /// kill -9 on the postmaster: no backend gets to finish anything but what it is in the middle of.
    func kill() async throws {
        guard Foundation.kill(server.postgres.processID, SIGKILL) == 0 else {
            throw PosixFailure(call: "kill", code: errno)
        }
        // Waits for the end of every process of it; there is nothing left to shut down.
        try await server.postgres.stop(.immediate)
    }

    /// Starts the server again, which recovers from its log.
    func start() async throws {
        server = try await server.restart(.full)
        precondition(
            server.postgres.connectionString == connectionString,
            "clients find a restarted server where it was"
        )
    }

    /// An orderly restart, with all connections closed by the server.
    func restart() async throws {
        try await server.postgres.stop(.fast)
        try await start()
    }

    /// kill -9 on one backend: the server takes all the others down, recovers and goes on by itself.
    func killBackend(of connection: PostgresConnection) throws {
        guard Foundation.kill(connection.backendProcessID, SIGKILL) == 0 else {
            throw PosixFailure(call: "kill", code: errno)
        }
    }

    private func remove() async throws { try await server.remove() }
}

/// A call to the system that failed.
struct PosixFailure: Error, CustomStringConvertible {
    let call: String
    let code: Int32

    var description: String { "\(call): \(String(cString: strerror(code)))" }
}
