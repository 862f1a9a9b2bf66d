import ArgumentParser
import Millrace

struct Read: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print stored events: the whole log, or one stream.",
        discussion: """
            Examples:
              millrace read                          the log from its beginning
              millrace read --after 1000 --type order.created --limit 20
              millrace read order 42                 one stream, in version order
              millrace read order 42 --backwards --limit 1
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var filter: FilterOptions

    @Argument(help: "The stream's aggregate type; leave it out to read the log.")
    var aggregateType: String?

    @Argument(help: "The stream's aggregate id.")
    var aggregateID: String?

    @Option(help: "Log: only events after this position.")
    var after: Int64?

    @Option(help: "Stream: the version to begin with.")
    var from: Int?

    @Option(help: "Stream: the version to end with.")
    var through: Int?

    @Flag(help: "Stream: newest first.")
    var backwards = false

    @Option(help: "Events at the most.")
    var limit: Int?

    func validate() throws {
        if aggregateType != nil && aggregateID == nil {
            throw ValidationError("A stream has a type and an id: millrace read order 42.")
        }
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1.") }
        if let after, after < 0 { throw ValidationError("--after is a position: 0 or more.") }
        if from ?? 1 < 1 || through ?? 1 < 1 { throw ValidationError("--from and --through are versions: 1 or more.") }
        if let from, let through, backwards ? from < through : from > through {
            throw ValidationError("--from \(from) lies behind --through \(through) in the direction of reading.")
        }
        if aggregateType?.isEmpty == true || aggregateID?.isEmpty == true {
            throw ValidationError("A stream's type and id are not empty.")
        }
        if aggregateType == nil && (from != nil || through != nil || backwards) {
            throw ValidationError("--from, --through and --backwards are for a stream; the log takes --after.")
        }
        if aggregateType != nil && (after != nil || filter.filter != .all) {
            throw ValidationError(
                "--after, --type and --aggregate-type are for the log; a stream takes --from and --through."
            )
        }
    }

    func run() async throws {
        try await database.withStore { [self] store in
            if let aggregateType, let aggregateID {
                let events = store.readStream(
                    StreamID(aggregateType, aggregateID),
                    from: from,
                    through: through,
                    direction: backwards ? .backwards : .forwards
                )
                try await write(events)
            } else {
                try await write(store.readAll(after: Position(after ?? 0), matching: filter.filter))
            }
        }
    }

    private func write<Events: AsyncSequence>(_ events: Events) async throws where Events.Element == RecordedEvent {
        var count = 0
        for try await event in events {
            let line = EventLine(event: event)
            try Terminal.output.write(output.json ? line.json() : line.text(for: .output))
            count += 1
            if count == limit { break }
        }
        if count == 0 && Terminal.error.isInteractive { Terminal.error.say("No events.\n") }
    }
}
