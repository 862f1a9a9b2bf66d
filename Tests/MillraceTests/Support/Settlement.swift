import MillracePostgres

/// Rolls back the prepared transactions that killed publishers left in this database, and returns how many there were:
/// each rightly holds the horizon for ever, so nothing can be counted before.
@discardableResult
func settlePreparedTransactions(_ client: PostgresClient) async throws -> Int {
    let left = try await client.query(
        "SELECT quote_literal(gid) AS gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY gid"
    )
    for row in left {
        let gid = try row.decode(String.self, named: "gid")
        try await client.query(PostgresStatement("ROLLBACK PREPARED \(gid)", prepared: false))
    }
    return left.count
}
