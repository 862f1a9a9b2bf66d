import ArgumentParser
import Millrace

struct ProjectionsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "A line a generation; what `millrace projections` does.",
        discussion: """
            built: of its events, how many are in it. pending: events that are to come. waiting: streams that wait for an event that \
            failed. size: its tables with their indexes. workers: processes that offer to write it. With --rate or --watch also how \
            many events a second, and how long a build still takes. With --json a document a generation.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "Only this projection.")
    var name: String?

    @Flag(help: "Look again and again, until Ctrl-C, and show how many events a second are written.")
    var watch = false

    @Flag(help: "Look twice, and show how many events a second were written in between.")
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
        var last: ProjectionsPage?
        repeat {
            if rate && !watch {
                last = ProjectionsPage(try await store.projections.list(of: name))
                try await Task.sleep(for: .seconds(every))
            }
            let page = ProjectionsPage(try await store.projections.list(of: name), since: last)
            if output.json {
                try Terminal.output.write(page.json)
            } else {
                let isRedrawn = watch && Terminal.output.isInteractive
                try Terminal.output.write((isRedrawn ? "\u{1B}[H\u{1B}[J" : "") + page.text(for: .output))
            }
            last = page
            if watch { try await Task.sleep(for: .seconds(every)) }
        } while watch
    }
}
