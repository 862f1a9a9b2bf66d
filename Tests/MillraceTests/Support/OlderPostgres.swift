import Foundation

@testable import MillraceEmbedded

/// A PostgreSQL that is too old, where a machine has one.
enum OlderPostgres {
    private static let programs = ["17", "16", "15"].map { "/usr/lib/postgresql/\($0)/bin" }
        .first { FileManager.default.isExecutableFile(atPath: $0 + "/postgres") }

    static var isInstalled: Bool { programs != nil }

    /// Starts one in a temporary folder, without a TCP port, and ends it afterwards.
    static func run(_ body: (String) async throws -> Void) async throws {
        guard let programs else { throw UnexpectedOutcome(what: "no older PostgreSQL") }
        let account = try serverAccount()
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "millrace-old-\(UUID().uuidString.prefix(8))"
        ).path
        guard try PrivateFile.makeFolder(folder, owner: account) else {
            throw UnexpectedOutcome(what: "\(folder) exists")
        }
        defer { try? FileManager.default.removeItem(atPath: folder) }

        func call(_ name: String, _ arguments: String...) async throws {
            let outcome = try await Program(path: "\(programs)/\(name)").run(
                arguments,
                as: account,
                environment: Program.environment(from: ProcessInfo.processInfo.environment)
            )
            guard outcome.succeeded else { throw UnexpectedOutcome(what: "\(name): \(outcome.reason)") }
        }
        let data = folder + "/data"
        try await call("initdb", "--pgdata=\(data)", "--username=postgres", "--auth=trust", "--no-sync")
        let options = "-c listen_addresses='' -c unix_socket_directories='\(folder)' -c fsync=off"
        try await call("pg_ctl", "start", "--wait", "--pgdata=\(data)", "--log=\(folder)/log", "--options=\(options)")
        do {
            try await body("host='\(folder)' port=5432 user=postgres dbname=postgres")
        } catch {
            try await call("pg_ctl", "stop", "--mode=immediate", "--pgdata=\(data)")
            throw error
        }
        try await call("pg_ctl", "stop", "--mode=immediate", "--pgdata=\(data)")
    }
}
