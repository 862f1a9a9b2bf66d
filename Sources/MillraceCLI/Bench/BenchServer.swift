import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The PostgreSQL that is measured: one of its own that is gone afterwards, or the user's, in databases of the run's own.
struct BenchServer: Sendable {
    /// What every database of a run is called at the beginning; nothing else of the server is touched.
    static let databasePrefix = "millrace_bench_"
    /// Fresh folders of servers.
    static let folderPrefix = "millrace-bench-"
    /// Dropping a database waits for its sessions to end.
    static let dropTimeout = Duration.seconds(30)

    let isEmbedded: Bool
    let version: String
    /// Settings by name, as they are in force.
    let settings: [String: String]
    /// Where the server says that its programs are; nil where we may not know.
    let programs: String?
    /// Of the database that we only make databases from.
    private let connectionString: String
    private let run: String

    /// Runs `body` with the server and puts everything away afterwards, also after a failure or Ctrl-C.
    /// - Throws: ``Failure`` where the server cannot be used; what `body` throws.
    static func with<Value: Sendable>(
        _ choice: DatabaseOptions.Choice,
        parentFolder: String?,
        _ body: (BenchServer) async throws -> Value
    ) async throws -> Value {
        switch choice {
        case .external(let connectionString):
            return try await body(BenchServer(connectionString, isEmbedded: false))
        case .embedded:
            return try await withEmbedded(in: parentFolder ?? FileManager.default.temporaryDirectory.path, body)
        }
    }

    private static func withEmbedded<Value: Sendable>(
        in parent: String,
        _ body: (BenchServer) async throws -> Value
    ) async throws -> Value {
        let folder = parent + "/" + folderPrefix + String(UInt64.random(in: .min ... .max), radix: 16)
        var configuration = EmbeddedConfiguration(dataDirectory: folder)
        configuration.listen = .socketOnly
        // What is measured is a commit that survives the loss of power; a user.conf cannot be there yet.
        configuration.settings = [
            "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "track_functions": "pl",
        ]
        var server: EmbeddedPostgres?
        do {
            let started = try await EmbeddedPostgres.start(configuration, logger: DatabaseOptions.logger)
            server = started
            let value = try await body(BenchServer(started.connectionString(database: "postgres"), isEmbedded: true))
            await remove(started, folder, configuration)
            return value
        } catch {
            await remove(server, folder, configuration)
            throw error
        }
    }

    /// Not cut short by a cancellation.
    private static func remove(
        _ server: EmbeddedPostgres?,
        _ folder: String,
        _ configuration: EmbeddedConfiguration
    ) async {
        await Task {
            do {
                if let server {
                    try await server.stop(.immediate)
                } else if FileManager.default.fileExists(atPath: folder) {
                    // A start that was cut short may have left one running.
                    try await EmbeddedPostgres.stop(.immediate, serverOf: configuration, logger: DatabaseOptions.logger)
                }
            } catch {
                Terminal.error.say("millrace: the server in \(folder) could not be stopped: \(error)\n")
                return
            }
            discard(folder)
        }.value
    }

    private static func discard(_ folder: String) {
        let files = FileManager.default
        // Root's data lies elsewhere where the server's account could not reach the folder.
        let elsewhere = try? files.destinationOfSymbolicLink(atPath: folder + "/postgres")
        for place in [elsewhere, folder].compactMap({ $0 }) where files.fileExists(atPath: place) {
            do {
                try files.removeItem(atPath: place)
            } catch {
                Terminal.error.say("millrace: \(place) could not be removed, please do: \(error)\n")
            }
        }
    }

    private init(_ connectionString: String, isEmbedded: Bool) async throws {
        self.connectionString = connectionString
        self.isEmbedded = isEmbedded
        run = String(UInt32.random(in: .min ... .max), radix: 16)
        (version, settings, programs) = try await DatabaseOptions.withClient(connectionString, connections: 1) {
            client in
            let row = try await client.query(.embedded(PackageResources.bench_server_sql)).single()
            let (version, number, mayCreate, role) = try row.decode(String.self, Int.self, Bool.self, String.self)
            let oldest = PostgresInstallation.oldestMajorVersion
            guard number / 10_000 >= oldest else {
                throw Failure(.failed, "the server is PostgreSQL \(version), and Millrace needs \(oldest) or newer")
            }
            guard mayCreate else {
                throw Failure(
                    .failed,
                    "the role “\(role.printable)” may not create databases, and the bench touches none but its own: let an "
                        + "administrator run ALTER ROLE … CREATEDB, or leave the address out to measure a PostgreSQL of "
                        + "Millrace's own"
                )
            }
            var settings: [String: String] = [:]
            for row in try await client.query(.embedded(PackageResources.bench_settings_sql)) {
                settings[try row.decode(String.self, at: 0)] = try row.decode(String.self, at: 1)
            }
            // Only for those who may read pg_config.
            let programs = try? await client.query(.embedded(PackageResources.bench_programs_sql)).first?
                .decode(String.self, at: 0)
            return (version, settings, programs)
        }
    }

    // MARK: Databases

    /// Runs `body` with the address of a new database that carries Millrace's schema and the twin of its log, and drops it
    /// afterwards, whatever happened.
    func withDatabase<Value: Sendable>(
        _ name: String,
        _ body: (String) async throws -> Value
    ) async throws -> Value {
        let database = "\(BenchServer.databasePrefix)\(run)_\(name)"
        let roles = try await roles()
        do {
            try await create(database)
            let address = BenchServer.address(connectionString, database: database)
            try await prepare(address)
            let value = try await body(address)
            await drop(database, keeping: roles)
            return value
        } catch {
            await drop(database, keeping: roles)
            throw error
        }
    }

    private func create(_ database: String) async throws {
        try await DatabaseOptions.withClient(connectionString, connections: 1) { client in
            try await client.query(PostgresStatement("CREATE DATABASE \(database) TEMPLATE template0", prepared: false))
            // Counting calls takes a right that few have; without it those figures are missing.
            _ = try? await client.query(
                PostgresStatement("ALTER DATABASE \(database) SET track_functions = 'pl'", prepared: false)
            )
            // The write-ahead log of one scenario is not flushed in the time of the next.
            _ = try? await client.query(PostgresStatement("CHECKPOINT", prepared: false))
        }
    }

    private func prepare(_ address: String) async throws {
        try await DatabaseOptions.withClient(address, connections: 1) { client in
            try await Migrator(client: client).migrate()
            try await client.script(String(decoding: PackageResources.bench_twin_sql, as: UTF8.self))
        }
    }

    private func roles() async throws -> Set<String> {
        try await DatabaseOptions.withClient(connectionString, connections: 1) { client in
            Set(try await client.query(.embedded(PackageResources.bench_roles_sql)).map { try $0.decode(at: 0) })
        }
    }

    /// Not cut short by a cancellation.
    private func drop(_ database: String, keeping roles: Set<String>) async {
        await Task {
            do {
                try await DatabaseOptions.withClient(connectionString, connections: 1) { client in
                    try await client.query(
                        PostgresStatement("DROP DATABASE IF EXISTS \(database) WITH (FORCE)", prepared: false),
                        [],
                        timeout: BenchServer.dropTimeout
                    )
                    // Those that the migration made; where another database has come to need one meanwhile, it stays.
                    for row in try await client.query(.embedded(PackageResources.bench_roles_sql)) {
                        let role = try row.decode(String.self, at: 0)
                        if roles.contains(role) { continue }
                        _ = try? await client.query(PostgresStatement("DROP ROLE \(role)", prepared: false))
                    }
                }
            } catch {
                Terminal.error.say("millrace: the database \(database) could not be dropped, please do: \(error)\n")
            }
        }.value
    }

    /// The same server, another database: libpq takes the last one it is told.
    static func address(_ connectionString: String, database: String) -> String {
        guard connectionString.contains("://") else {
            return connectionString + (connectionString.isEmpty ? "" : " ") + "dbname='\(database)'"
        }
        return connectionString + (connectionString.contains("?") ? "&" : "?") + "dbname=\(database)"
    }
}
