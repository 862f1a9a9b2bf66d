public import Logging
import MillraceEmbedded
public import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Runs `body` with a client of the database that `DATABASE_URL` names, or of a PostgreSQL that is there for this run only.
///
/// Give an example a database of its own: its checks speak of all events that are in it.
public func withExampleDatabase<Value: Sendable>(
    connections: Int,
    logger: Logger,
    _ body: @escaping @Sendable (PostgresClient) async throws -> Value
) async throws -> Value {
    if let url = ProcessInfo.processInfo.environment["DATABASE_URL"], !url.isEmpty {
        return try await withClient(url, connections, logger, body)
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-example-\(UUID().uuidString)")
    // The account that runs the server for root passes through it.
    try FileManager.default.createDirectory(
        at: folder,
        withIntermediateDirectories: false,
        attributes: [.posixPermissions: 0o711]
    )
    defer { try? FileManager.default.removeItem(at: folder) }
    let postgres = try await EmbeddedPostgres.start(
        EmbeddedConfiguration(
            dataDirectory: folder.appending(path: "data").path,
            listen: .socketOnly,
            settings: ["fsync": "off"]
        ),
        logger: logger
    )
    do {
        let value = try await withClient(postgres.connectionString, connections, logger, body)
        try await postgres.stop()
        return value
    } catch {
        try? await postgres.stop()
        throw error
    }
}

private func withClient<Value: Sendable>(
    _ url: String,
    _ connections: Int,
    _ logger: Logger,
    _ body: @Sendable (PostgresClient) async throws -> Value
) async throws -> Value {
    var configuration = PostgresConfiguration(url)
    configuration.maximumConnections = connections
    return try await withPostgresClient(configuration, logger: logger, body)
}

/// Of an example: warnings and what is worse, on standard error, so that standard output is the summary.
public func exampleLogger(_ label: String) -> Logger {
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .error
    return logger
}
