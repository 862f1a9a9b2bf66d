import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Streams that wait, as people and programs read them.
struct ParkedPage {
    static let longestError = 60

    let events: [ParkedEvent]

    func table(for terminal: Terminal) -> String {
        var table = Table([
            ("event", .left), ("handler", .left), ("stream", .left), ("version", .right), ("type", .left),
            ("status", .left),
            ("attempts", .right), ("waiting", .right), ("failed", .left), ("next", .left), ("error", .left),
        ])
        for event in events {
            let error = event.error.map { text in event.errorKind.map { "\($0): \(text)" } ?? text }
            table.add([
                event.eventID.uuidString.lowercased(), event.handler.printable, "\(event.stream)".printable,
                "\(event.version)",
                event.eventType.printable, event.status.rawValue + (event.editedData == nil ? "" : ", edited"),
                event.attempts.grouped, event.waiting.grouped, event.lastFailedAt.formatted(Date.ISO8601FormatStyle()),
                event.nextAttemptAt?.formatted(Date.ISO8601FormatStyle()) ?? "",
                error?.cut(to: ParkedPage.longestError) ?? "",
            ])
        }
        return table.rendered(for: terminal)
    }

    var json: String { events.map(\.jsonLine.line).joined() }
}

extension ParkedEvent {
    var jsonLine: JSONLine {
        var object = JSONLine()
        object.add("handler", string: handler)
        object.add("aggregate_type", string: stream.aggregateType)
        object.add("aggregate_id", string: stream.aggregateID)
        object.add("lane", number: Int64(lane))
        object.add("position", number: position.rawValue)
        object.add("event_id", string: eventID.uuidString.lowercased())
        object.add("event_type", string: eventType)
        object.add("version", number: Int64(version))
        object.add("status", string: status.rawValue)
        object.add("attempts", number: Int64(attempts))
        object.add("error", string: error)
        object.add("error_kind", string: errorKind)
        object.add("first_failed_at", string: firstFailedAt.rfc3339)
        object.add("last_failed_at", string: lastFailedAt.rfc3339)
        object.add("next_attempt_at", string: nextAttemptAt?.rfc3339)
        object.add("waiting", number: waiting)
        object.add("edited_data", json: editedData ?? .null)
        object.add("edited_by", string: editedBy)
        object.add("discard_reason", string: discardReason)
        return object
    }
}

/// What became of streams that wait, in sentences, a handler each.
struct ParkedReport {
    /// “retried at once”, after “3 streams of billing are”.
    let outcome: String
    let isDone: Bool
    let events: [ParkedEvent]
    let handlers: [HandlerStatus]
    let limit: Int

    func text(for terminal: Terminal) -> String {
        if events.isEmpty { return "Nothing that waits is meant: nothing was changed.\n" }
        var text = ""
        for name in Set(events.map(\.handler)).sorted() {
            let mine = events.filter { $0.handler == name }
            let waiting = mine.reduce(0) { $0 + $1.waiting }
            let verb = isDone ? (mine.count == 1 ? "is" : "are") : "would be"
            text +=
                "\(mine.count.grouped) \(mine.count == 1 ? "stream" : "streams") of \(name.printable) \(verb) \(outcome)"
            text += waiting == 0 ? ".\n" : "; \(waiting.grouped) events wait behind.\n"
            if let handler = handlers.first(where: { $0.name == name }), handler.state != .active {
                text += terminal.styled(
                    "\(name.printable) is \(handler.state.rawValue), so nothing of this happens before `millrace resume`.\n",
                    .yellow
                )
            }
        }
        if events.count == limit { text += "There may be more than the \(limit.grouped) of --limit: run it again.\n" }
        return text
    }
}
