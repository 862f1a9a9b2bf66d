public import MillracePostgres

/// What has to be true after a run, and whether it is.
public struct Claim: Sendable {
    public let text: String
    public let detail: String
    public let holds: Bool

    public init(_ text: String, _ detail: String, holds: Bool) {
        self.text = text
        self.detail = detail
        self.holds = holds
    }

    /// What a query finds that answers `claim`, `detail` and `holds`.
    public static func checked(by query: PostgresStatement, in client: PostgresClient) async throws -> [Claim] {
        try await client.query(query).map { row in
            Claim(
                try row.decode(String.self, named: "claim"),
                try row.decode(String.self, named: "detail"),
                holds: try row.decode(Bool.self, named: "holds")
            )
        }
    }
}

/// Claims that do not hold.
public struct BrokenClaims: Error, CustomStringConvertible {
    public let claims: [Claim]
    public var description: String { "not true: " + claims.map(\.text).joined(separator: "; ") }
}

extension [Claim] {
    /// Shows them, a line each.
    /// - Throws: ``BrokenClaims`` where one does not hold.
    public func present() throws {
        for claim in self { print("  \(claim.holds ? "✓" : "✗") \(claim.text): \(claim.detail)") }
        let broken = filter { !$0.holds }
        if !broken.isEmpty { throw BrokenClaims(claims: broken) }
    }
}
