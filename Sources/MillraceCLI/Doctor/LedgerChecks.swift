import Millrace
import MillracePostgres

/// Looks at the ledger of a store.
struct LedgerChecks {
    /// So many seal intervals late is late.
    private static let tolerance = 10

    let client: PostgresClient
    /// How long events may be unsealed unremarked, whatever the interval is.
    let patience: Duration

    func run() async throws -> [Check] {
        let rows = try await client.query(.embedded(PackageResources.doctor_ledger_sql))
        guard !rows.isEmpty else { return [.ok("ledger", "none is kept")] }
        let ledger = rows[0]
        let found = try sealing(ledger) + rows.compactMap(publication)
        if !found.isEmpty { return found }
        let blocks = try ledger.decode(Int64.self, named: "blocks")
        return [
            .ok(
                "ledger",
                "\(try ledger.decode(Int64.self, named: "tree_size").grouped) events are sealed in \(blocks.grouped) "
                    + (blocks == 1 ? "block" : "blocks")
            )
        ]
    }

    private func sealing(_ ledger: PostgresRow) throws -> [Check] {
        let waited = Duration.seconds(try ledger.decode(Double.self, named: "unsealed_for"))
        let interval = Duration.seconds(try ledger.decode(Double.self, named: "seal_interval"))
        guard waited > max(patience, interval * LedgerChecks.tolerance) else { return [] }
        let unsealed = try ledger.decode(Int64.self, named: "unsealed")
        return [
            .failed(
                "ledger",
                "nobody seals: \(unsealed.grouped) \(unsealed == 1 ? "event is" : "events are") unsealed, the oldest for \(waited.brief)",
                "run the daemon with the ledger's key (millrace work --ledger-key …), or millrace ledger seal"
            )
        ]
    }

    private func publication(_ row: PostgresRow) throws -> Check? {
        guard let target = try row.decode(String?.self, named: "target"),
            let error = try row.decode(String?.self, named: "error")
        else { return nil }
        return .warning(
            "ledger",
            "the checkpoints could not be published to \(target.printable): \(error.printable)",
            "mend that, and look again: millrace ledger status"
        )
    }
}
