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

    private static func quoted(_ value: String) -> String {
        value.reduce(into: "") { $0 += $1 == "'" || $1 == "\\" ? "\\\($1)" : String($1) }
    }

    private static func escaped(_ value: String) -> String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
        return value.addingPercentEncoding(withAllowedCharacters: plain) ?? value
    }
}
