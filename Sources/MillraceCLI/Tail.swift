import ArgumentParser
import Millrace

struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print events as they are stored, until Ctrl-C.",
        discussion: "Goes on after an outage of PostgreSQL. Nothing is skipped and nothing is printed twice."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var filter: FilterOptions

    @Option(help: "Where to begin: start, end, or the position after which.")
    var from: StartingPoint = .end

    func run() async throws {
        do {
            try await database.withStore { [self] store in try await follow(store) }
        } catch is CancellationError {
            // Ctrl-C is how it is meant to end.
        }
    }

    private func follow(_ store: EventStore) async throws {
        // A subscription is patient with a server that is away. One that was never there is a mistake, and told at once.
        _ = try await store.epoch()
        for try await element in store.subscribe(from: from, matching: filter.filter) {
            switch element {
            case .event(let event):
                let line = EventLine(event: event)
                try Terminal.output.write(output.json ? line.json() : line.text(for: .output))
            case .caughtUp(let position):
                guard !output.json && Terminal.error.isInteractive else { continue }
                Terminal.error.say(Terminal.error.styled("— caught up at \(position), waiting —\n", .dim))
            case .progress: continue
            }
        }
    }
}
