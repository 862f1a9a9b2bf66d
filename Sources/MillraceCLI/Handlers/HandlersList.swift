import ArgumentParser
import Millrace

struct HandlersList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "A line a handler; what `millrace handlers` does.",
        discussion: """
            pending: events that its lanes have not come to, + where there are more than were counted. lag: the age of the oldest \
            of them. retrying and parked: streams that are set aside; waiting: events behind their heads. With --json a document \
            a handler, and with --watch so at each look.
            """
    )

    static let intervals = 1...3_600

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Look again and again, until Ctrl-C, and show how many events a second are handled.")
    var watch = false

    @Flag(help: "Look twice, and show how many events a second were handled in between.")
    var rate = false

    @Option(help: ArgumentHelp("How long to wait between two looks.", valueName: "seconds"))
    var every = 1

    func validate() throws {
        if !HandlersList.intervals.contains(every) {
            throw ValidationError(
                "--every is from \(HandlersList.intervals.lowerBound) to \(HandlersList.intervals.upperBound.grouped) seconds."
            )
        }
    }

    func run() async throws {
        do {
            try await database.withStore { [self] store in try await look(store) }
        } catch is CancellationError where watch {
            // Ctrl-C is how it is meant to end.
        }
    }

    private func look(_ store: EventStore) async throws {
        var last: HandlersPage?
        repeat {
            if rate && !watch {
                last = HandlersPage(try await store.handlers.list())
                try await Task.sleep(for: .seconds(every))
            }
            let page = HandlersPage(try await store.handlers.list(), since: last)
            if output.json {
                try Terminal.output.write(page.json)
            } else {
                // From the upper left corner on, and nothing below it.
                let isRedrawn = watch && Terminal.output.isInteractive
                try Terminal.output.write((isRedrawn ? "\u{1B}[H\u{1B}[J" : "") + page.text(for: .output))
            }
            last = page
            if watch { try await Task.sleep(for: .seconds(every)) }
        } while watch
    }
}
