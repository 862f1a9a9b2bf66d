/// SQL text and the hash it is prepared under, computed once: keep hot statements in a `static let`.
public struct PostgresStatement: Sendable, Hashable, ExpressibleByStringLiteral {
    public let sql: String
    /// Whether the server may keep a prepared form of it.
    public let prepared: Bool
    /// FNV-1a over the UTF-8. It only speeds lookups up: equality compares the text.
    let digest: UInt64

    /// - Parameter prepared: false for statements that are run once, so that they do not push hot ones out.
    public init(_ sql: String, prepared: Bool = true) {
        self.sql = sql
        self.prepared = prepared
        var digest: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in sql.utf8 {
            digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        self.digest = digest
    }

    /// SQL that is embedded in the program as the bytes of a file.
    public init(utf8 bytes: [UInt8], prepared: Bool = true) {
        self.init(String(decoding: bytes, as: UTF8.self), prepared: prepared)
    }

    public init(stringLiteral value: String) {
        self.init(value)
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.digest == right.digest && left.prepared == right.prepared && left.sql == right.sql
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(digest)
    }
}

/// One statement with its parameters, as ``PostgresSession/pipeline(_:)`` takes several.
public struct PostgresCall: Sendable {
    public let statement: PostgresStatement
    public let parameters: [PostgresValue]

    public init(_ statement: PostgresStatement, _ parameters: [PostgresValue] = []) {
        self.statement = statement
        self.parameters = parameters
    }

    /// What it counts towards ``PostgresConfiguration/maximumPipelineBytes``.
    var byteCount: Int {
        var count = statement.sql.utf8.count
        for parameter in parameters { count += parameter.byteCount }
        return count
    }

    /// Why it can never be sent, or nil.
    var defect: String? {
        if parameters.count > PostgresCall.maximumParameters {
            return "a statement takes at most \(PostgresCall.maximumParameters) parameters, not \(parameters.count)"
        }
        if statement.sql.utf8.contains(0) { return "SQL text cannot contain a NUL character" }
        for (index, parameter) in parameters.enumerated() {
            if let defect = parameter.defect { return "parameter $\(index + 1) \(defect)" }
        }
        return nil
    }

    /// The protocol counts parameters in 16 bits.
    static let maximumParameters = 65_535
}
