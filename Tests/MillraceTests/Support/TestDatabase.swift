import Foundation
import Logging
import Millrace
import MillracePostgres
import Testing

/// The server the tests run on.
enum TestServer {
    static let url = ProcessInfo.processInfo.environment["MILLRACE_TEST_DATABASE_URL"]
    static let missing: Comment = "MILLRACE_TEST_DATABASE_URL names no PostgreSQL 18 server"

    /// The server's address with another database in it.
    static func address(of database: String) throws -> String {
        let url = try #require(url)
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            return "\(url) dbname=\(database)"
        }
        var parts = try #require(URLComponents(string: url))
        parts.path = "/\(database)"
        return try #require(parts.string)
    }
}

/// Runs the body with a database of its own, and drops it afterwards whatever happened.
func withTestDatabase(migrated: Bool = true, _ body: (PostgresClient) async throws -> Void) async throws {
    let name = "millrace_test_\(UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: ""))"
    var logger = Logger(label: "millrace.tests")
    logger.logLevel = .critical
    let server = PostgresClient(PostgresConfiguration(try TestServer.address(of: "postgres")), logger: logger)
    try await server.script("CREATE DATABASE \(name) TEMPLATE template0")
    let client = PostgresClient(PostgresConfiguration(try TestServer.address(of: name)), logger: logger)

    let outcome: Result<Void, any Error>
    do {
        if migrated { try await Migrator(client: client).migrate() }
        outcome = .success(try await body(client))
    } catch {
        outcome = .failure(error)
    }
    await client.close()
    try await server.script("DROP DATABASE \(name) WITH (FORCE)")
    await server.close()
    try outcome.get()
}
