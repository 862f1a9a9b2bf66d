import Millrace
import MillracePostgres
import Testing

extension PostgresSession {
    /// The only value of the only row, as text; the statement casts what is none.
    func text(_ sql: String) async throws -> String? {
        try await query(PostgresStatement(sql, prepared: false)).single().decode(String?.self, at: 0)
    }

    /// The first column, as text.
    func texts(_ sql: String) async throws -> [String?] {
        try await query(PostgresStatement(sql, prepared: false)).map { try $0.decode(String?.self, at: 0) }
    }

    func run(_ sql: String) async throws {
        try await query(PostgresStatement(sql, prepared: false))
    }
}

/// The body is refused with this SQLSTATE and a message that contains every one of the words.
func expectRefusal(
    _ state: PostgresSQLState,
    _ words: String...,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async throws {
    do {
        try await body()
        Issue.record("was not refused with \(state)", sourceLocation: sourceLocation)
    } catch let error as PostgresError {
        guard case .server(let refusal) = error else { throw error }
        #expect(refusal.sqlState == state, "\(refusal)", sourceLocation: sourceLocation)
        for word in words {
            #expect(refusal.message.contains(word), "\(refusal)", sourceLocation: sourceLocation)
        }
        if state.errorClass == "MR" {
            #expect(refusal.hint?.isEmpty == false, "\(refusal)", sourceLocation: sourceLocation)
        }
    }
}

/// The tests of the SQL functions themselves.
@Suite("the schema")
enum SchemaTests {}
