import Foundation

/// How to reach a server that runs.
struct RunningServer: Sendable {
    let folder: DataFolder
    let file: PostmasterFile
    let databaseName: String
    let password: String

    /// Names the Unix socket where there is no TCP port.
    static let socketOnlyPort = 5432

    var hasPort: Bool { !file.listenAddress.isEmpty }

    /// Keywords for libpq, over the Unix socket. The password stays in its file.
    func connectionString(database: String) -> String {
        let pairs = [
            ("host", file.socketFolder), ("port", "\(file.port)"), ("user", Passfile.role), ("dbname", database),
            ("passfile", folder.passfile),
        ]
        return pairs.map { "\($0.0)='\(Self.quoted($0.1))'" }.joined(separator: " ")
    }

    /// A URL over TCP, or over the Unix socket where there is no port.
    func url(password: String?) -> String {
        let user = password.map { "\(Passfile.role):\($0)" } ?? Passfile.role
        let database = Self.escaped(databaseName)
        var query = password == nil ? ["passfile=\(Self.escaped(folder.passfile))"] : []
        guard !hasPort else {
            let suffix = query.isEmpty ? "" : "?" + query.joined(separator: "&")
            return "postgresql://\(user)@127.0.0.1:\(file.port)/\(database)\(suffix)"
        }
        query.insert("host=\(Self.escaped(file.socketFolder))", at: 0)
        query.insert("port=\(file.port)", at: 1)
        return "postgresql://\(user)@/\(database)?\(query.joined(separator: "&"))"
    }

    /// Runs a script to its end or to the first error. Values travel as variables: the script names them `:'name'`.
    func psql(
        _ script: String,
        database: String,
        variables: [String: String] = [:],
        _ installation: PostgresInstallation,
        environment: [String: String]
    ) async throws {
        let settings = variables.sorted { $0.key < $1.key }.map { "--set=\($0.key)=\($0.value)" }
        let outcome = try await installation.program("psql").run(
            ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"] + settings
                + ["--dbname=\(connectionString(database: database))"],
            environment: Program.environment(from: environment),
            input: Array(script.utf8)
        )
        guard outcome.succeeded else {
            throw EmbeddedPostgresError.failed(
                step: "run a script in the database \(database)",
                reason: outcome.reason,
                log: folder.clusterDestination() + "/log"
            )
        }
    }

    private static func quoted(_ value: String) -> String {
        value.reduce(into: "") { $0 += $1 == "'" || $1 == "\\" ? "\\\($1)" : String($1) }
    }

    private static func escaped(_ value: String) -> String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
        return value.addingPercentEncoding(withAllowedCharacters: plain) ?? value
    }
}
