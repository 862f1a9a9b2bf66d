import ArgumentParser
import Millrace

struct ParkedList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "The streams that wait, a line each; what `millrace parked` does.",
        discussion: "The event is the one at the head, which failed. With --json a document a stream."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ParkedOptions

    @Option(help: ArgumentHelp("Streams at the most.", valueName: "count"))
    var limit = 100

    func validate() throws {
        if !ParkedChangeOptions.limits.contains(limit) {
            throw ValidationError("--limit is from 1 to \(HandlerOperations.mostParked.grouped).")
        }
    }

    func run() async throws {
        let page = try await database.withStore { [options, limit] store in
            ParkedPage(events: try await store.handlers.parked(options.filter, limit: limit))
        }
        if output.json {
            try Terminal.output.write(page.json)
        } else if page.events.isEmpty {
            try Terminal.output.write("Nothing waits\(options.filter == .all ? "" : " that is meant").\n")
        } else {
            let more = page.events.count == limit ? "There may be more: --limit\n" : ""
            try Terminal.output.write(page.table(for: .output) + more)
        }
    }
}
