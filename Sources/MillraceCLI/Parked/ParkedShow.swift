import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct ParkedShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract:
            "An event that could not be handled: its data, its error, every audited attempt, what was done about it.",
        discussion: "For each handler that it failed for. With --json a document a handler."
    )

    static let mostShown = 100

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The event's id, as `millrace parked list` shows it.")
    var event: UUID

    @Option(help: "Only for this handler.")
    var handler: String?

    func run() async throws {
        let pages = try await database.withStore { [event, handler] store in
            let parked = try await store.handlers.parked(
                ParkedFilter(handler: handler, eventID: event),
                limit: ParkedShow.mostShown
            )
            var pages: [ParkedEventPage] = []
            for parked in parked { pages.append(try await ParkedEventPage(parked, in: store)) }
            return pages
        }
        if pages.isEmpty {
            throw Failure(
                .failed,
                "no stream waits with event \(event.uuidString.lowercased()) at its head: `millrace parked list` shows those that do"
            )
        }
        try Terminal.output.write(
            output.json ? pages.map(\.json).joined() : pages.map { $0.text(for: .output) }.joined(separator: "\n")
        )
    }
}

/// One waiting stream with all that is known of its head.
struct ParkedEventPage {
    let parked: ParkedEvent
    /// nil where this role or server does not show it.
    let event: RecordedEvent?
    let attempts: [HandlerAttempt]
    let actions: [HandlerAction]

    init(_ parked: ParkedEvent, in store: EventStore) async throws {
        self.parked = parked
        var found: RecordedEvent?
        for try await event in store.readStream(parked.stream, from: parked.version, through: parked.version) {
            found = event
        }
        event = found
        attempts = try await store.handlers.attempts(
            of: parked.handler,
            on: parked.position,
            limit: ParkedShow.mostShown
        )
        actions = try await store.handlers.actions(of: parked.handler, on: parked.position, limit: ParkedShow.mostShown)
    }

    func text(for terminal: Terminal) -> String {
        var lines: [(String, String)] = [
            ("handler", parked.handler.printable),
            (
                "stream",
                "\(parked.stream)".printable
                    + ", version \(parked.version), \(parked.waiting.grouped) events wait behind"
            ),
            (
                "event",
                "\(parked.eventID.uuidString.lowercased()), \(parked.eventType.printable), position \(parked.position)"
            ),
            ("status", status),
            ("failed", "first \(parked.firstFailedAt.rfc3339), last \(parked.lastFailedAt.rfc3339)"),
        ]
        if let error = parked.error {
            lines.append(("error", (parked.errorKind.map { "\($0.printable): " } ?? "") + error.printable))
        }
        if let event { lines.append(("data", event.data.text.printable)) }
        if let edited = parked.editedData {
            lines.append(("edited", "\(edited.text.printable), by \(parked.editedBy?.printable ?? "nobody known")"))
        }
        let head = lines.map { terminal.styled($0.0.padded(to: 8), .bold) + "  \($0.1)\n" }.joined()
        return [head, attemptTable(terminal), ActionTable(actions).text(for: terminal)].filter { !$0.isEmpty }
            .joined(separator: "\n")
    }

    private var status: String {
        let attempts = "\(parked.attempts.grouped) \(parked.attempts == 1 ? "attempt" : "attempts")"
        let next = parked.nextAttemptAt.map { $0.rfc3339 } ?? "nobody knows"
        return switch parked.status {
        case .retrying: "retrying, after \(attempts), next at \(next)"
        case .discarding: "discarding: \(parked.discardReason?.printable ?? "for no reason that is kept")"
        case .parked: "parked, after \(attempts)"
        }
    }

    private func attemptTable(_ terminal: Terminal) -> String {
        guard !attempts.isEmpty else { return "" }
        var table = Table([
            ("attempt", .right), ("at", .left), ("ended", .left), ("took", .right), ("worker", .left), ("error", .left),
        ])
        for attempt in attempts {
            table.add([
                "\(attempt.number)", attempt.time.rfc3339, attempt.status.rawValue, attempt.duration.brief,
                attempt.worker.printable, attempt.error?.cut(to: ParkedPage.longestError) ?? "",
            ])
        }
        return table.rendered(for: terminal)
    }

    var json: String {
        var object = parked.jsonLine
        object.add("event_data", json: event?.data ?? .null)
        object.add("metadata", json: event?.metadata ?? .null)
        object.add(
            "audited_attempts",
            objects: attempts.map { attempt in
                var object = JSONLine()
                object.add("attempt", number: Int64(attempt.number))
                object.add("processed_at", string: attempt.time.rfc3339)
                object.add("status", string: attempt.status.rawValue)
                object.add("error", string: attempt.error)
                object.add("worker", string: attempt.worker)
                object.add("seconds", seconds: attempt.duration)
                return object
            }
        )
        object.add("actions", objects: actions.map(\.jsonLine))
        return object.line
    }
}
