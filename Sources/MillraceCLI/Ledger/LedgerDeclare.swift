import ArgumentParser
import Millrace

struct LedgerDeclare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "declare",
        abstract: "Chain the events of these aggregate types, each to the one before it in its stream. For ever."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "Aggregate types.")
    var types: [String]

    func run() async throws {
        try await database.withStore { [self] store in
            let new = try await store.ledger.declare(types)
            if output.json {
                var line = JSONLine()
                line.add("declared", strings: new)
                return try Terminal.output.write(line.line)
            }
            let names = new.map(\.printable).joined(separator: ", ")
            try Terminal.output.write(
                new.isEmpty ? "They were declared already.\n" : "Chained from now on: \(names).\n"
            )
        }
    }
}
