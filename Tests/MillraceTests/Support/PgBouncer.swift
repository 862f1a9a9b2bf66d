import Foundation
import MillracePostgres

@testable import MillraceEmbedded

/// A PgBouncer in transaction mode in front of one database.
struct PgBouncer: Sendable {
    let connectionString: String

    /// Debian's place for it, and Homebrew's.
    static let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    private static let answerLimit = Duration.seconds(20)

    /// Starts one on a free port of 127.0.0.1, and ends it afterwards.
    static func run<Value>(
        inFrontOf connectionString: String,
        _ body: (PgBouncer) async throws -> Value
    ) async throws -> Value {
        let account = try serverAccount()
        guard let program, let port = LoopbackPort.choose(preferring: []) else {
            throw UnexpectedOutcome(what: "there is no pgbouncer, or no free port for one")
        }
        let server = try await Server(connectionString)
        let folder = FileManager.default.temporaryDirectory.appending(path: "millrace-pgbouncer-\(UUID())").path
        guard try PrivateFile.makeFolder(folder, owner: account) else {
            throw UnexpectedOutcome(what: "\(folder) exists")
        }
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try PrivateFile.write("\"\(server.user)\" \"\(server.password)\"\n", to: folder + "/users", owner: account)
        try PrivateFile.write(
            """
            [databases]
            \(server.database) = host=\(server.host) port=\(server.port)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = scram-sha-256
            auth_file = \(folder)/users
            pool_mode = transaction
            default_pool_size = 4
            logfile = \(folder)/log
            pidfile = \(folder)/pid
            """,
            to: folder + "/ini",
            owner: account
        )
        let started = try await Program(path: program).run(
            ["--daemon", "--quiet", folder + "/ini"],
            as: account,
            environment: [:]
        )
        guard started.succeeded else { throw UnexpectedOutcome(what: started.reason) }
        try await eventually("PgBouncer has written its process id", within: answerLimit) {
            processID(in: folder) != nil
        }
        defer { if let processID = processID(in: folder) { kill(processID, SIGTERM) } }
        return try await body(PgBouncer(connectionString: server.connectionString(atPort: port)))
    }

    private static func processID(in folder: String) -> Int32? {
        guard let text = try? String(contentsOfFile: folder + "/pid", encoding: .utf8) else { return nil }
        return Int32(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Where the database really is, and what is needed to log in there.
    private struct Server {
        let host: String
        let port: String
        let user: String
        let database: String
        let password: String

        init(_ connectionString: String) async throws {
            (host, port, user, database) = try await withClient(PostgresConfiguration(connectionString)) { client in
                let rows = try await client.query(
                    """
                    SELECT split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'),
                           current_user::text, current_database()::text
                    """
                )
                return (
                    try rows[0].decode(String.self, at: 0), try rows[0].decode(String.self, at: 1),
                    try rows[0].decode(String.self, at: 2), try rows[0].decode(String.self, at: 3)
                )
            }
            password = try Passfile(at: try await sharedPostgres().passfile, isNew: false).password
        }

        func connectionString(atPort bouncer: Int) -> String {
            "host=127.0.0.1 port=\(bouncer) user=\(user) dbname=\(database) password=\(password)"
        }
    }
}
