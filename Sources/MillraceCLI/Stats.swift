import ArgumentParser
import Millrace
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Stats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What is in the store: events, streams, positions, months, imports, who holds the horizon.",
        discussion: """
            Cheap whatever the store's size: events and streams are counted exactly while their table has at most \
            \(StoreFacts.countedBytes.bytes), beyond that they are estimated from a sample of as many bytes, and marked \
            with ~ (is_exact is false in the JSON). Rows of single months are PostgreSQL's own estimates. Positions take \
            one index entry a month; sizes come from the file system.
            """
    )

    static let topTypes = 1...1_000

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("Show the most frequent event types.", valueName: "count"))
    var top = 15

    func validate() throws {
        if !Stats.topTypes.contains(top) {
            throw ValidationError("--top is from \(Stats.topTypes.lowerBound) to \(Stats.topTypes.upperBound.grouped).")
        }
    }

    func run() async throws {
        let facts = try await database.withStore { [top] store in
            do {
                return try await StoreFacts(store.client, topTypes: top)
            } catch let error as PostgresError where error.isSchemaMissing {
                throw Failure(.failed, "there is no schema millrace in this database: run `millrace migrate`")
            }
        }
        try Terminal.output.write(output.json ? facts.jsonLine() : StatsPage(facts, terminal: .output).text)
    }
}

extension PostgresError {
    /// Nothing of Millrace is there, or not all of it.
    var isSchemaMissing: Bool {
        switch sqlState {
        case "3F000", PostgresSQLState.undefinedTable, PostgresSQLState.undefinedFunction: true
        default: false
        }
    }
}

extension Encodable {
    /// One line, keys in snake case and sorted, times as RFC 3339.
    func jsonLine() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

extension BinaryInteger {
    /// 134217728 as “128 MiB”.
    var bytes: String {
        var value = Double(self)
        for unit in ["bytes", "KiB", "MiB", "GiB", "TiB"] {
            if value < 1024 || unit == "TiB" {
                let isWhole = unit == "bytes" || value >= 100 || value == value.rounded()
                return "\(value.fixed(isWhole ? 0 : 1)) \(unit)"
            }
            value /= 1024
        }
        return "\(self) bytes"
    }
}
