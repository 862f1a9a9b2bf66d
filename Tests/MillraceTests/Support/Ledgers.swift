import Crypto
import Foundation
import MillracePostgres
import Testing

/// Keys of the note format that nobody signs with, for tests of what the database does.
enum TestVerifierKey {
    static let origin = "shop.example/ledger"

    /// Another key for each number.
    static func text(_ number: UInt8 = 1) -> String {
        let key = [0x01] + [UInt8](repeating: number, count: 32)
        let hash = SHA256.hash(data: Array("\(origin)\n".utf8) + key).prefix(4).map { String(format: "%02x", $0) }
        return "\(origin)+\(hash.joined())+\(Data(key).base64EncodedString())"
    }
}

extension PostgresClient {
    /// Begins a ledger with these aggregate types in chains.
    func beginLedger(chaining types: String...) async throws {
        try await run("SELECT millrace.init_ledger('\(TestVerifierKey.origin)', '\(TestVerifierKey.text())')")
        guard !types.isEmpty else { return }
        try await run("SELECT millrace.declare_ledgered('{\(types.joined(separator: ","))}')")
    }
}

/// What is wrong with the chains of a log, by SQL.
struct ChainAudit: Equatable {
    /// Whose current_hash is not that of their previous_hash and what they are.
    let wrong: Int
    /// Whose previous_hash is not the one before it in their stream.
    let unlinked: Int
    /// That have none, though one before them in their stream has.
    let interrupted: Int
    /// Streams whose head is not their last event's hash.
    let lost: Int
    let chained: Int

    var isClean: Bool { wrong == 0 && unlinked == 0 && interrupted == 0 && lost == 0 }

    init(of client: PostgresClient) async throws {
        let row = try await client.query(
            PostgresStatement(
                """
                SELECT count(*) FILTER (WHERE l.current_hash IS DISTINCT FROM sha256(l.previous_hash || millrace.canonical_form(
                           l.id, l.event_id, l.event_type, l.aggregate_type, l.aggregate_id, l.version, l.event_data::text,
                           l.metadata::text, l.occurred_at, l.created_at, l.payload, l.content_type
                       )) AND (l.previous_hash IS NOT NULL OR l.current_hash IS NOT NULL)),
                       count(*) FILTER (WHERE l.previous_hash <> coalesce(l.before, decode(repeat('00', 32), 'hex'))),
                       count(*) FILTER (WHERE l.current_hash IS NULL AND l.before IS NOT NULL),
                       (SELECT count(*) FROM millrace.streams AS s WHERE s.head_hash IS DISTINCT FROM (
                           SELECT e.current_hash FROM millrace.events AS e
                           WHERE e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id AND e.version = s.version
                       )),
                       count(l.current_hash)
                FROM (
                    SELECT e.*, lag(e.current_hash) OVER (PARTITION BY e.aggregate_type, e.aggregate_id ORDER BY e.version) AS before
                    FROM millrace.events AS e
                ) AS l
                """,
                prepared: false
            )
        ).single()
        (wrong, unlinked) = (Int(try row.decode(Int64.self, at: 0)), Int(try row.decode(Int64.self, at: 1)))
        (interrupted, lost) = (Int(try row.decode(Int64.self, at: 2)), Int(try row.decode(Int64.self, at: 3)))
        chained = Int(try row.decode(Int64.self, at: 4))
    }
}
