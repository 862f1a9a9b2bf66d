import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres
import MillraceTesting

/// Errors that a test provokes are no news.
private let quiet = {
    var logger = Logger(label: "millrace.tests")
    logger.logLevel = .critical
    return logger
}()

/// The server that the tests of this process share. Not to be stopped, and not to be configured.
func sharedPostgres() async throws -> EmbeddedPostgres { try await TestServer.shared().postgres }

/// Brings a database to the newest schema.
func migrate(_ client: PostgresClient) async throws {
    try await Migrator(client: client).migrate()
}

/// A client for the length of the body.
func withClient<Value>(
    _ configuration: PostgresConfiguration,
    _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    try await withPostgresClient(configuration, logger: quiet, body)
}

/// An empty database of the test's own, dropped afterwards.
func withEmptyDatabase<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    try await withTestDatabase(migrated: false) { try await body($0.configuration.connectionString) }
}

/// A store in a database of the test's own, with so many connections.
func withStore<Value>(
    connections: Int = 10,
    upcasters: Upcasters = Upcasters(),
    appending: AppenderLimits = .init(),
    _ body: (EventStore) async throws -> Value
) async throws -> Value {
    try await withTestDatabase { client in
        var configuration = client.configuration
        configuration.maximumConnections = connections
        return try await withClient(configuration) { client in
            let store = EventStore(client, upcasters: upcasters, appending: appending, logger: quiet)
            let value = try await body(store)
            await store.flush()
            return value
        }
    }
}

/// Two stores on one database, as two processes would have them.
func withStores<Value>(
    _ first: PostgresConfiguration,
    _ second: PostgresConfiguration,
    appending: AppenderLimits = .init(),
    _ body: (EventStore, EventStore) async throws -> Value
) async throws -> Value {
    try await withClient(first) { first in
        try await withClient(second) { second in
            try await body(EventStore(first, appending: appending, logger: quiet), EventStore(second, logger: quiet))
        }
    }
}
