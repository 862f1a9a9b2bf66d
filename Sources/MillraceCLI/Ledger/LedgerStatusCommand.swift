import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct LedgerStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "How far it is sealed and published, and for how long not; what `millrace ledger` does."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await database.withStore { [self] store in
            guard let status = try await store.ledger.status() else {
                if output.json {
                    var line = JSONLine()
                    line.add("origin", json: .null)
                    return try Terminal.output.write(line.line)
                }
                return try Terminal.output.write("No ledger is kept. Begin one with `millrace ledger init`.\n")
            }
            let publications = try await store.ledger.publications()
            try Terminal.output.write(
                output.json
                    ? LedgerStatusCommand.json(status, publications)
                    : LedgerStatusCommand.text(status, publications)
            )
        }
    }

    private static func json(_ status: LedgerStatus, _ publications: [LedgerPublication]) -> String {
        var line = JSONLine()
        line.add("origin", string: status.origin)
        line.add("seal_interval_seconds", seconds: status.sealInterval)
        line.add("verifier_key", string: status.verifierKey)
        line.add("keys", number: Int64(status.keys))
        line.add("ledgered_types", strings: status.ledgeredTypes)
        line.add("blocks", number: Int64(status.blocks))
        line.add("tree_size", number: Int64(status.size))
        line.add("root", string: status.root?.base64)
        line.add("last_position", number: status.lastPosition.rawValue)
        line.add("sealed_at", string: status.sealedAt?.rfc3339)
        line.add("unsealed", number: Int64(status.unsealed))
        line.add("unsealed_for_seconds", seconds: status.unsealedFor)
        line.add(
            "publications",
            objects: publications.map { publication in
                var line = JSONLine()
                line.add("target", string: publication.target)
                line.add("block", number: publication.block.map(Int64.init))
                line.add("blocks_behind", number: Int64(status.blocks - (publication.block ?? 0)))
                line.add("published_at", string: publication.publishedAt?.rfc3339)
                line.add("failed_at", string: publication.failedAt?.rfc3339)
                line.add("error", string: publication.error)
                return line
            }
        )
        return line.line
    }

    private static func text(_ status: LedgerStatus, _ publications: [LedgerPublication]) -> String {
        let isMore = status.unsealed >= LedgerOperations.countLimit ? "+" : ""
        var unsealed = "\(status.unsealed.grouped)\(isMore) events"
        if let age = status.unsealedFor { unsealed += ", the oldest for \(age.brief)" }
        var text = """
            ledger      \(status.origin.printable)
            interval    \(status.sealInterval.brief)
            key         \(status.verifierKey.printable) (\(status.keys) so far)
            chained     \(status.ledgeredTypes.map(\.printable).joined(separator: ", "))
            sealed      \(status.size.grouped) events in \(status.blocks.grouped) blocks, up to position \(status.lastPosition.rawValue.grouped)
            last block  \(status.sealedAt?.rfc3339 ?? "none")
            unsealed    \(unsealed)

            """
        if publications.isEmpty {
            return text + "published    nowhere: an old copy of the database would not be found\n"
        }
        for publication in publications {
            let behind = status.blocks - (publication.block ?? 0)
            let lag = behind == 0 ? "up to date" : "\(behind.grouped) blocks behind"
            text += "published   \(publication.target.printable): \(lag)"
            if let error = publication.error { text += "; FAILS: \(error.printable)" }
            text += "\n"
        }
        return text
    }
}
