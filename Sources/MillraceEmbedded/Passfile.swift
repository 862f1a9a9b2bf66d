import Foundation

/// The generated password, in a file that libpq reads by itself: no connection string has to carry it.
struct Passfile: Sendable {
    let password: String

    static let role = "millrace"

    /// The one that is there, else a new one of 256 random bits.
    ///
    /// - Parameter isNew: whether there is no server yet that has an earlier one.
    init(at path: String, isNew: Bool) throws(EmbeddedPostgresError) {
        if let contents = try? String(contentsOfFile: path, encoding: .utf8) {
            let fields = contents.split(whereSeparator: \.isNewline).first?.split(separator: ":") ?? []
            guard fields.count == 5, fields[4].count >= 32, fields[4].allSatisfy(\.isHexDigit) else {
                throw .passwordLost(file: path)
            }
            password = String(fields[4])
            return
        }
        guard isNew else { throw .passwordLost(file: path) }
        password = (0..<4).map { _ in PrivateFile.randomName() }.joined()
        try PrivateFile.write("*:*:*:\(Self.role):\(password)\n", to: path)
    }
}
