import Foundation
import Logging

@testable import MillraceEmbedded

/// PostgreSQL's own terminal, as a user would run it on a database.
struct Psql: Sendable {
    /// psql ended with an error.
    struct Failure: Error, CustomStringConvertible {
        let message: String
        var description: String { message }
    }

    private let program: Program
    private let connectionString: String

    init(for connectionString: String) async throws {
        program = try await installedPostgres().program("psql")
        self.connectionString = connectionString
    }

    /// Without a user's settings, without decoration, and it ends at the first error.
    private var arguments: [String] {
        [
            "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1",
            "--dbname=\(connectionString)",
        ]
    }

    /// The same for a shell.
    var shellCommand: String {
        ([program.path] + arguments).map { "'" + $0.replacing("'", with: #"'\''"#) + "'" }.joined(separator: " ")
    }

    /// Runs a script that psql reads from its standard input, and returns what it wrote.
    @discardableResult
    func run(_ script: String) async throws -> String {
        let outcome = try await program.run(
            arguments,
            environment: Program.environment(from: ProcessInfo.processInfo.environment),
            input: Array(script.utf8)
        )
        guard outcome.succeeded else { throw Failure(message: outcome.errors) }
        return outcome.output.trimmingCharacters(in: .newlines)
    }
}

/// The PostgreSQL the tests run on: the one that `millrace up` would use.
func installedPostgres() async throws -> PostgresInstallation {
    let environment = ProcessInfo.processInfo.environment
    return try await PostgresInstallation.find(
        major: nil,
        account: serverAccount(),
        environment: environment,
        logger: Logger(label: "millrace.test")
    )
}

/// Whom servers run as, where the tests are root.
func serverAccount() throws -> ServerAccount {
    try ServerAccount.choose(ownerOfData: nil, environment: ProcessInfo.processInfo.environment)
}
