import ArgumentParser
import Millrace

struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print how an aggregate came to its state: each event, and what it changed.",
        discussion: """
            + is new, ~ has another value, - is gone. At a terminal, what is too long for a line is cut off.

            Examples:
              millrace history order 42
              millrace history order 42 --as-of 2018-01-01     until that day began, UTC
              millrace history order 42 --from 3 --limit 10    ten events from version 3
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var past: PastOptions

    @Argument var aggregateType: String
    @Argument var aggregateID: String

    @Option(help: "The version to begin with.")
    var from = 1

    @Option(help: "Events at the most.")
    var limit: Int?

    func validate() throws {
        if from < 1 { throw ValidationError("--from is a version: 1 or more.") }
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1.") }
        if case .version(let version) = past.point, version < from {
            throw ValidationError("--as-of \(version) lies before --from \(from).")
        }
    }

    func run() async throws {
        let stream = StreamID(aggregateType, aggregateID)
        try await database.withStore { [from, limit, past, output] store in
            var count = 0
            for try await entry in store.history(of: stream, from: from, asOf: past.point) {
                let page = HistoryPage(entry: entry)
                try Terminal.output.write(output.json ? page.json() : page.text(for: .output))
                count += 1
                if count == limit { break }
            }
            if count == 0 {
                throw Failure(
                    .badInput,
                    "\(stream) has no events in that range; check its type and its id, and the range"
                )
            }
        }
    }
}
