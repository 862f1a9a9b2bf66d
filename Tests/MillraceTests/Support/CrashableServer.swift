import Foundation
import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres

/// A PostgreSQL of the test's own that keeps its promises to the disk, and is killed and started again.
actor CrashableServer {
    /// How long a killed server may take until its last process is gone.
    private static let deathLimit = Duration.seconds(30)

    /// What is left to chance on a server for everyday use. Nothing writes the log but the sessions themselves, so what
    /// no commit has flushed is lost in a crash: the worst that can happen is what happens.
    static let settings = [
        "fsync": "on",
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
        "autovacuum": "off",
        "checkpoint_timeout": "1h",
    ]

    nonisolated let connectionString: String
    private let configuration: EmbeddedConfiguration
    private let logger: Logger
    private var postgres: EmbeddedPostgres

    private init(_ configuration: EmbeddedConfiguration, logger: Logger) async throws {
        self.configuration = configuration
        self.logger = logger
        postgres = try await EmbeddedPostgres.start(configuration, logger: logger)
        connectionString = postgres.connectionString
    }

    /// Starts one in a temporary folder, with a migrated database, and removes it afterwards.
    static func run<Value>(
        _ body: (CrashableServer) async throws -> Value
    ) async throws -> Value {
        let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-crash-\(UUID())").path
        let configuration = EmbeddedConfiguration(
            dataDirectory: folder,
            listen: .socketOnly,
            settings: CrashableServer.settings
        )
        let server = try await CrashableServer(configuration, logger: Logger(label: "millrace.test.crash"))
        do {
            try await withClient(PostgresConfiguration(server.connectionString)) { try await migrate($0) }
            let value = try await body(server)
            try await server.remove()
            return value
        } catch {
            try? await server.remove()
            throw error
        }
    }

    /// kill -9 on the postmaster: no backend gets to finish anything but what it is in the middle of.
    func kill() async throws {
        let processID = postgres.processID
        guard Foundation.kill(processID, SIGKILL) == 0 else { throw PosixFailure(call: "kill", code: errno) }
        // Waits for the end of every process of it; there is nothing left to shut down.
        try await postgres.stop(.immediate)
    }

    /// Starts the server again, which recovers from its log.
    func start() async throws {
        postgres = try await EmbeddedPostgres.start(configuration, logger: logger)
        precondition(postgres.connectionString == connectionString, "clients find a restarted server where it was")
    }

    /// An orderly restart, with all connections closed by the server.
    func restart() async throws {
        try await postgres.stop(.fast)
        try await start()
    }

    /// kill -9 on one backend: the server takes all the others down, recovers and goes on by itself.
    func killBackend(of connection: PostgresConnection) throws {
        guard Foundation.kill(connection.backendProcessID, SIGKILL) == 0 else {
            throw PosixFailure(call: "kill", code: errno)
        }
    }

    private func remove() async throws {
        try await postgres.stop(.immediate)
        try FileManager.default.removeItem(atPath: configuration.dataDirectory)
    }
}

/// A call to the system that failed.
struct PosixFailure: Error, CustomStringConvertible {
    let call: String
    let code: Int32

    var description: String { "\(call): \(String(cString: strerror(code)))" }
}
