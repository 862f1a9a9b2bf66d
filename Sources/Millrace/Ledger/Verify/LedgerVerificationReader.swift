import MillracePostgres

/// Reads the tables themselves: a function could have been replaced by whoever owns the database.
struct LedgerVerificationReader: Sendable {
    let client: PostgresClient

    /// Of events, at once: as few as make about ``pageBytes``.
    static let pageEvents = 4096
    static let pageBytes = 4 << 20
    static let firstPage = 512
    /// Of leaves, up to 1,024 in each.
    static let runsAtOnce = 16
    static let blocksAtOnce = 1024

    static let start = PostgresStatement(utf8: PackageResources.ledger_verify_start_sql)
    static let keys = PostgresStatement(utf8: PackageResources.ledger_keys_sql)
    static let blocks = PostgresStatement(utf8: PackageResources.ledger_verify_blocks_sql)
    static let since = PostgresStatement(utf8: PackageResources.ledger_verify_since_sql)
    static let runs = PostgresStatement(utf8: PackageResources.ledger_verify_runs_sql)
    static let nodes = PostgresStatement(utf8: PackageResources.ledger_verify_nodes_sql)
    static let events = PostgresStatement(utf8: PackageResources.ledger_verify_events_sql)
    static let between = PostgresStatement(utf8: PackageResources.ledger_verify_between_sql)
    static let types = PostgresStatement(utf8: PackageResources.ledger_verify_types_sql)
    static let chains = PostgresStatement(utf8: PackageResources.ledger_verify_chains_sql)
    static let chainsSince = PostgresStatement(utf8: PackageResources.ledger_verify_chains_since_sql)
    static let heads = PostgresStatement(utf8: PackageResources.ledger_verify_heads_sql)
    static let eventless = PostgresStatement(utf8: PackageResources.ledger_verify_eventless_sql)
    static let tail = PostgresStatement(utf8: PackageResources.ledger_verify_tail_sql)

    /// One look at the database, with the operators of PostgreSQL and no others.
    func reading<Value: Sendable>(_ body: (PostgresTransaction) async throws -> Value) async throws -> Value {
        try await EventStoreError.translating {
            try await client.withTransaction(PostgresTransactionMode(isolation: .repeatableRead, readOnly: true)) {
                try await $0.script("SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL row_security = off")
                return try await body($0)
            }
        }
    }

    func rows(_ statement: PostgresStatement, _ parameters: [PostgresValue] = []) async throws -> PostgresRows {
        try await reading { try await $0.query(statement, parameters) }
    }

    func blocks(from number: Int, to last: Int) async throws -> [LedgerBlockRow] {
        let parameters: [PostgresValue] = [
            .int8(Int64(number)), .int8(Int64(last)), .int8(Int64(LedgerVerificationReader.blocksAtOnce)),
        ]
        return try await rows(LedgerVerificationReader.blocks, parameters).map { try LedgerBlockRow($0) }
    }

    /// The first block, up to a last one, that holds an event at a position or after it, or that was sealed at a time or after it.
    func block(reaching since: LedgerVerification.Since, upTo last: Int) async throws -> Int? {
        var parameters: [PostgresValue] = [.int8(Int64(last))]
        switch since {
        case .position(let position): parameters += [.int8(position.rawValue), .timestamptz(nil)]
        case .time(let time): parameters += [.int8(nil), .timestamptz(time)]
        }
        return try await rows(LedgerVerificationReader.since, parameters).single().decode(Int?.self, at: 0)
    }

    /// All events after a position up to another one, in their order, a page at a time; no event of a position is in another page than those that
    /// have the same.
    static func pages(
        after lower: Int64,
        upTo upper: Int64,
        in transaction: PostgresTransaction,
        _ body: (ArraySlice<PostgresRow>) throws -> Void
    ) async throws {
        var position = lower
        var limit = firstPage
        while position < upper {
            try Task.checkCancellation()
            let rows = Array(
                try await transaction.query(events, [.int8(position), .int8(upper), .int8(Int64(limit))])
            )
            guard let last = rows.last else { return }
            guard rows.count == limit else { return try body(rows[...]) }
            let end = try last.decode(Int64.self, at: 0)
            // Where constraints are gone, one position can have several events, and the next page would begin behind the first.
            let whole = try rows.prefix { try $0.decode(Int64.self, at: 0) < end }
            if whole.isEmpty {
                limit *= 2
                continue
            }
            try body(whole)
            position = end - 1
            let bytes = whole.prefix(64).reduce(0) { $0 + $1.byteCount(at: 6) + $1.byteCount(at: 10) + 200 }
            limit = max(2, min(pageEvents, pageBytes * min(64, whole.count) / max(bytes, 1)))
        }
    }
}
