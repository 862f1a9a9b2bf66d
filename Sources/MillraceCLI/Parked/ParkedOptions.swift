import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Which of the streams that wait are meant.
struct ParkedOptions: ParsableArguments {
    @Option(help: "Only of this handler.")
    var handler: String?

    @Option(name: .customLong("aggregate-type"), help: "Only streams of this type of aggregate.")
    var aggregateType: String?

    @Option(name: .customLong("aggregate-id"), help: "Only the streams of this aggregate.")
    var aggregateID: String?

    @Option(help: "Only where this event is at the head.")
    var event: UUID?

    @Option(name: .customLong("type"), help: "Only where an event of this type is at the head.")
    var eventType: String?

    @Option(help: ArgumentHelp("Only where the error is like this, % for anything: '%timeout%'.", valueName: "pattern"))
    var error: String?

    @Option(help: "Only in this status.")
    var status: ParkedEvent.Status?

    var filter: ParkedFilter {
        ParkedFilter(
            handler: handler,
            aggregateType: aggregateType,
            aggregateID: aggregateID,
            eventID: event,
            eventType: eventType,
            error: error,
            status: status
        )
    }
}

/// What the commands that change parked events have in common.
struct ParkedChangeOptions: ParsableArguments {
    static let limits = 1...HandlerOperations.mostParked

    @Flag(help: "Everything that waits, for all handlers, where no other option says less.")
    var all = false

    @Flag(name: .customLong("dry-run"), help: "Show what is meant; change nothing.")
    var dryRun = false

    @Option(help: ArgumentHelp("Streams at the most; run it again for what is left.", valueName: "count"))
    var limit = 10_000

    /// A forgotten filter is not to mean everything.
    func validate(_ options: ParkedOptions) throws {
        let isEverything = options.filter == .all
        if isEverything && !all {
            throw ValidationError("Say which: give a filter such as --handler or --event, or --all.")
        }
        if !isEverything && all { throw ValidationError("--all is everything: leave the other options out, or --all.") }
        if !ParkedChangeOptions.limits.contains(limit) {
            throw ValidationError("--limit is from 1 to \(HandlerOperations.mostParked.grouped).")
        }
    }
}
