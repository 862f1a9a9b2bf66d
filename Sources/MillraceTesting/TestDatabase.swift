import Logging
public import Millrace
public import MillracePostgres

/// Runs the body with a database of its own on the process's test server, and drops it afterwards, whatever happened.
///
///     try await withTestStore { store in
///         try await store.append(OrderCreated(cents: 100), to: StreamID("order", "1"))
///         …
///     }
///
/// - Throws: what the body throws; `EmbeddedPostgresError` where there is no server to be had.
public func withTestStore<Value>(_ body: (EventStore) async throws -> Value) async throws -> Value {
    try await withTestDatabase { client in try await body(EventStore(client)) }
}

/// As ``withTestStore(_:)``, with a client.
///
/// - Parameter migrated: whether the database carries the schema `millrace`; it is then a copy of one that was migrated
///   once for the whole process.
public func withTestDatabase<Value>(
    migrated: Bool = true,
    durability: TestServer.Durability = .relaxed,
    _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    let server = try await TestServer.shared(durability)
    let template = migrated ? try await server.migratedTemplate() : "template0"
    return try await server.withDatabase(template: template) { connectionString in
        try await withQuietClient(connectionString, body)
    }
}

extension TestServer {
    fileprivate func migratedTemplate() async throws -> String {
        try await template(named: "millrace_migrated") { connectionString in
            _ = try await withQuietClient(connectionString) { try await Migrator(client: $0).migrate() }
        }
    }
}

/// Tests break connections on purpose: only what nobody expects is logged.
private func withQuietClient<Value>(
    _ connectionString: String,
    _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    var logger = Logger(label: "millrace.tests")
    logger.logLevel = .critical
    return try await withPostgresClient(PostgresConfiguration(connectionString), logger: logger, body)
}
