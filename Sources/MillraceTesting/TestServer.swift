import Foundation
import Logging
public import MillraceEmbedded
import Synchronization

/// A PostgreSQL 18 for the tests of one process, in a temporary folder, with throwaway databases.
///
///     try await TestServer.shared().withDatabase { connectionString in
///         …
///     }
///
/// The server starts with the first test that asks for it and goes with the process, however that ends: a guard process
/// waits for the end, stops the server and removes the folder. What a guard could not remove, because it was killed too,
/// is removed by the next start.
public final class TestServer: Sendable {
    /// How the server treats the disk. A killed server loses nothing either way: only a machine that goes down can tell
    /// the difference.
    public enum Durability: Sendable, Hashable {
        /// Every commit waits for the disk, as in production.
        case full
        /// Nothing waits for the disk (`fsync=off`); commits still reach the operating system before they are
        /// acknowledged.
        case relaxed
    }

    /// The server. Its own database belongs to nobody: use ``withDatabase(template:_:)``.
    public let postgres: EmbeddedPostgres

    /// Databases in use at a time; further tests wait. More would only take the processor and the connections from each
    /// other. A test that takes a second database while it holds one does not wait.
    public static let databasesAtOnce = 8

    private let folder: TestFolder
    private let turnstile = Turnstile(places: databasesAtOnce)
    private let templates = Mutex<[String: Task<Void, any Error>]>([:])
    private static let servers = Mutex<[Durability: Task<TestServer, any Error>]>([:])

    private init(postgres: EmbeddedPostgres, folder: TestFolder) {
        self.postgres = postgres
        self.folder = folder
    }

    /// The one server of this process for this durability; the first call starts it.
    ///
    /// Tests that kill or stop a server need one of their own: ``start(_:)``.
    ///
    /// - Throws: `EmbeddedPostgresError`, the same one to everyone who asks.
    public static func shared(_ durability: Durability = .relaxed) async throws -> TestServer {
        let starting = servers.withLock { servers in
            if let known = servers[durability] { return known }
            let new = Task { try await start(durability) }
            servers[durability] = new
            return new
        }
        return try await starting.value
    }

    /// A server of the caller's own, which also goes with the process.
    ///
    /// - Throws: `EmbeddedPostgresError`.
    public static func start(_ durability: Durability = .relaxed) async throws -> TestServer {
        var logger = Logger(label: "millrace.testing")
        logger.logLevel = .warning
        let folder = try await TestFolder.make(logger: logger)
        let postgres = try await EmbeddedPostgres.start(folder.configuration(durability), logger: logger)
        return TestServer(postgres: postgres, folder: folder)
    }

    /// Starts the server of the same folder again, after a test has stopped or killed it.
    ///
    /// - Throws: `EmbeddedPostgresError`; ``EmbeddedPostgresError/alreadyRunning(folder:processID:url:)`` where
    ///   ``postgres`` was not given back with `stop()`, which a killed one needs too.
    public func restart(_ durability: Durability = .relaxed) async throws -> TestServer {
        let logger = Logger(label: "millrace.testing")
        let postgres = try await EmbeddedPostgres.start(folder.configuration(durability), logger: logger)
        return TestServer(postgres: postgres, folder: folder)
    }

    /// Stops the server for good and removes its folder, sooner than with the process.
    ///
    /// - Throws: `EmbeddedPostgresError`.
    public func remove() async throws {
        try await postgres.stop(.immediate)
        try folder.close()
    }

    /// A new database for the time of the body, which receives its connection string. It is dropped afterwards, whoever
    /// is still connected.
    ///
    /// - Parameter template: what it is a copy of; ``template(named:prepare:)`` makes others than the empty one.
    /// - Throws: what the body throws; `EmbeddedPostgresError` where the database cannot be made or dropped.
    public func withDatabase<Result>(
        template: String = "template0",
        _ body: (String) async throws -> Result
    ) async throws -> Result {
        try await turnstile.pass { try await withOwnDatabase(template: template, body) }
    }

    private func withOwnDatabase<Result>(
        template: String,
        _ body: (String) async throws -> Result
    ) async throws -> Result {
        let name = "test_" + String(UInt64.random(in: .min ... .max), radix: 16)
        try await postgres.psql("CREATE DATABASE \(name) TEMPLATE \"\(template)\" STRATEGY file_copy;")
        let result: Result
        do {
            result = try await body(postgres.connectionString(database: name))
        } catch {
            // The body's error is the one to see, and it may well be that the server is gone.
            try? await drop(name)
            throw error
        }
        try await drop(name)
        return result
    }

    /// A database to copy from, prepared once, however many ask for it at the same time.
    ///
    /// - Parameters:
    ///   - name: lower-case letters, digits and underscores.
    ///   - prepare: receives the connection string, and leaves no connection behind.
    /// - Returns: the name, for ``withDatabase(template:_:)``.
    /// - Throws: what `prepare` throws, the same to everyone who asks.
    public func template(
        named name: String,
        prepare: @escaping @Sendable (String) async throws -> Void
    ) async throws -> String {
        let preparing = templates.withLock { templates in
            if let known = templates[name] { return known }
            let new = Task { [postgres] in
                try await postgres.psql("CREATE DATABASE \"\(name)\" TEMPLATE template0;")
                try await prepare(postgres.connectionString(database: name))
            }
            templates[name] = new
            return new
        }
        try await preparing.value
        return name
    }

    private func drop(_ name: String) async throws {
        try await postgres.psql("DROP DATABASE \(name) WITH (FORCE);")
    }
}
