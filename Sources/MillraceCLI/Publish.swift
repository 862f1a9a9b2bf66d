import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Store one event.",
        discussion: """
            Prints where it was stored. Repeating the command with the same --id stores nothing new and prints the \
            same place. Where the outcome is unknown (exit code \(ExitStatus.outcomeUnknown.rawValue)), the message has the \
            id to repeat it with.

            Example: millrace publish order.created order 42 '{"customer":"c-7","cents":1250}' --expect none
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "For instance order.created.")
    var eventType: String

    @Argument(help: "For instance order.")
    var aggregateType: String

    @Argument(help: "For instance 42.")
    var aggregateID: String

    @Argument(help: "The event's data as JSON; - reads it from standard input.")
    var data = "{}"

    @Option(help: "Metadata as a JSON object: correlation_id, causation_id, traceparent, keys of your own.")
    var metadata: String?

    @Option(help: "What the stream must be at: any, none, exists, or a version.")
    var expect: ExpectedVersion = .any

    @Option(help: "The event's id (a UUID), to make a retry safe across runs.")
    var id: UUID?

    @Option(name: .customLong("occurred-at"), help: "When it happened, RFC 3339; otherwise now.")
    var occurredAt: Instant?

    func run() async throws {
        let document = data == "-" ? JSON(utf8: try await StandardInput.document()) : JSON(data)
        let event = NewEvent(
            type: eventType,
            data: document,
            metadata: metadata.map { JSON($0) },
            id: id ?? .version7(),
            occurredAt: occurredAt?.date
        )
        let stream = StreamID(aggregateType, aggregateID)
        do {
            let result = try await database.withStore { [expect] store in
                try await store.append([event], to: stream, expecting: expect)
            }
            try report(result)
        } catch EventStoreError.outcomeUnknown {
            // Only with the id it had can the event be published again without being stored twice.
            throw Failure(
                .outcomeUnknown,
                "the connection was lost or given up before the answer came, so the event is stored or not: run the command "
                    + "again with --id \(event.id.uuidString.lowercased()), which settles it"
            )
        }
    }

    private func report(_ result: AppendResult) throws {
        for stored in result.events {
            if output.json {
                var line = JSONLine()
                line.add("id", number: stored.position.rawValue)
                line.add("event_id", string: stored.id.uuidString.lowercased())
                line.add("aggregate_type", string: stored.stream.aggregateType)
                line.add("aggregate_id", string: stored.stream.aggregateID)
                line.add("version", number: Int64(stored.version))
                line.add("repeated", bool: result.wasRepeated)
                try Terminal.output.write(line.line)
            } else {
                let verb = result.wasRepeated ? "Was stored already" : "Stored"
                try Terminal.output.write(
                    "\(verb): \("\(stored.stream)".printable) version \(stored.version), position \(stored.position), "
                        + "event \(stored.id.uuidString.lowercased())\n"
                )
            }
        }
    }
}
