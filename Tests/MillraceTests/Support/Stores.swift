import Foundation
import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres

/// Errors that a test provokes are no news.
private let quiet = {
    var logger = Logger(label: "millrace.tests")
    logger.logLevel = .critical
    return logger
}()

private let server = Task {
    try await EmbeddedPostgres.start(EmbeddedConfiguration(dataDirectory: "/tmp/g/shared", settings: ["fsync": "off"]), logger: quiet)
}

func sharedPostgres() async throws -> EmbeddedPostgres { try await server.value }

/// Brings a database to the newest schema.
func migrate(_ client: PostgresClient) async throws {
    try await Migrator(client: client).migrate()
}

/// A client for the length of the body.
func withClient<Value>(
    _ configuration: PostgresConfiguration,
    _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    let client = PostgresClient(configuration, logger: quiet)
    do {
        let value = try await body(client)
        await client.close()
        return value
    } catch {
        await client.close()
        throw error
    }
}

/// An empty database of the test's own, dropped afterwards.
func withEmptyDatabase<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let postgres = try await sharedPostgres()
    let name = "t" + UUID().uuidString.lowercased().replacing("-", with: "")
    return try await withClient(PostgresConfiguration(postgres.connectionString)) { admin in
        try await admin.script("CREATE DATABASE \(name)")
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await body(postgres.connectionString + " dbname=\(name)"))
        } catch {
            outcome = .failure(error)
        }
        try await admin.script("DROP DATABASE \(name) WITH (FORCE)")
        return try outcome.get()
    }
}

/// A store in a database of the test's own.
func withStore<Value>(connections: Int = 10, _ body: (EventStore) async throws -> Value) async throws -> Value {
    try await withEmptyDatabase { connectionString in
        var configuration = PostgresConfiguration(connectionString)
        configuration.maximumConnections = connections
        return try await withClient(configuration) { client in
            try await migrate(client)
            let store = EventStore(client, logger: quiet)
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
    _ body: (EventStore, EventStore) async throws -> Value
) async throws -> Value {
    try await withClient(first) { first in
        try await withClient(second) { second in
            try await body(EventStore(first, logger: quiet), EventStore(second, logger: quiet))
        }
    }
}
