import ArgumentParser
import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres
import UnixSignals

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

/// Which PostgreSQL a command works on.
struct DatabaseOptions: ParsableArguments {
    @Option(
        name: .customLong("database-url"),
        help: ArgumentHelp("A libpq connection string, a URI or keywords.", valueName: "url")
    )
    var url: String?

    @Option(
        name: .customLong("data-dir"),
        help: ArgumentHelp(
            "The folder of Millrace's own PostgreSQL, used where no other is named.",
            valueName: "folder"
        )
    )
    var dataDirectory = ".millrace"

    /// Those of libpq's variables that say which server or database is meant.
    private static let serverVariables = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"]

    func validate() throws {
        guard let url else { return }
        // libpq would take anything without “=” for the name of a local database.
        let isAddress = url.hasPrefix("postgresql://") || url.hasPrefix("postgres://") || url.contains("=")
        guard isAddress else {
            throw ValidationError(
                "--database-url takes postgresql://user@host:port/database or keywords such as host=… dbname=…"
            )
        }
    }

    enum Choice: Sendable {
        case external(String)
        case embedded(EmbeddedConfiguration)
    }

    var choice: Choice {
        let environment = ProcessInfo.processInfo.environment
        if let url { return .external(url) }
        if let url = environment["DATABASE_URL"], !url.isEmpty { return .external(url) }
        let isNamed = DatabaseOptions.serverVariables.contains { !(environment[$0] ?? "").isEmpty }
        return isNamed ? .external("") : .embedded(EmbeddedConfiguration(dataDirectory: dataDirectory))
    }

    /// As ``choice`` where the environment names nothing: for what writes that nobody asked for by name, because events
    /// can never be deleted.
    var choiceByOptions: Choice {
        if let url { return .external(url) }
        // libpq reads them too, and where an address stands in one of them, it goes before the socket that we name.
        for variable in DatabaseOptions.serverVariables { unsetenv(variable) }
        return .embedded(EmbeddedConfiguration(dataDirectory: dataDirectory))
    }

    /// Runs `body` with a client for the chosen database and puts everything away afterwards, also after Ctrl-C:
    /// `body` is then cancelled.
    /// - Parameter chosen: which one; otherwise ``choice``.
    /// - Parameter migrated: whether Millrace's own PostgreSQL is brought up to date first; no other ever is.
    func withClient<Value: Sendable>(
        on chosen: Choice? = nil,
        connections: Int = 4,
        migrated: Bool = true,
        _ body: @escaping @Sendable (PostgresClient) async throws -> Value
    ) async throws -> Value {
        try await Interruption.watching {
            switch chosen ?? choice {
            case .external(let connectionString):
                return try await DatabaseOptions.withClient(connectionString, connections: connections, body)
            case .embedded(let configuration):
                let server = try await EmbeddedPostgres.use(configuration, logger: DatabaseOptions.logger)
                return try await released(server) {
                    try await DatabaseOptions.withClient(server.connectionString, connections: connections) { client in
                        if migrated { try await Migrator(client: client).migrate() }
                        return try await body(client)
                    }
                }
            }
        }
    }

    /// As ``withClient(on:connections:migrated:_:)``, with the event store in it.
    func withStore<Value: Sendable>(
        on chosen: Choice? = nil,
        connections: Int = 4,
        _ body: @escaping @Sendable (EventStore) async throws -> Value
    ) async throws -> Value {
        try await withClient(on: chosen, connections: connections) { client in
            let store = EventStore(client, logger: DatabaseOptions.logger)
            let value = try await body(store)
            await store.flush()
            return value
        }
    }

    static func withClient<Value>(
        _ connectionString: String,
        connections: Int,
        _ body: (PostgresClient) async throws -> Value
    ) async throws -> Value {
        var configuration = PostgresConfiguration(connectionString)
        configuration.maximumConnections = connections
        return try await withPostgresClient(configuration, logger: logger, body)
    }

    private func released<Value>(_ server: EmbeddedPostgres, _ body: () async throws -> Value) async throws -> Value {
        do {
            let value = try await body()
            await server.release()
            return value
        } catch {
            await server.release()
            throw error
        }
    }

    /// Commands talk to people through their output; the log is for what needs a look, on standard error.
    static let logger: Logger = {
        var logger = Logger(label: "millrace") { StreamLogHandler.standardError(label: $0) }
        let level = ProcessInfo.processInfo.environment["MILLRACE_LOG_LEVEL"].flatMap(Logger.Level.init(rawValue:))
        logger.logLevel = level ?? .warning
        return logger
    }()
}
