import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One event as one line, for people or for programs.
struct EventLine {
    let event: RecordedEvent

    /// Cut to the terminal's width; whole where the output is no terminal.
    func text(for terminal: Terminal) -> String {
        let time = event.occurredAt.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let (type, stream) = (event.type.printable, "\(event.stream)".printable)
        let head = "\(event.position)  \(time)  \(type)  \(stream) v\(event.version)  "
        let payload = event.payload.map { "<\($0.bytes.count) bytes of \($0.contentType)>" }
        let content = (payload ?? event.data.text).printable
        let room = terminal.width.map { max(0, $0 - head.count) } ?? .max
        let shown = content.count > room ? content.prefix(max(0, room - 1)) + "…" : content[...]
        return terminal.styled("\(event.position)  \(time)  ", .dim)
            + terminal.styled(type, .cyan) + "  "
            + terminal.styled(stream, .bold) + terminal.styled(" v\(event.version)  ", .dim)
            + shown + "\n"
    }

    /// The columns of the table `events` under their own names: `millrace import` reads it back.
    func json() throws -> String { object.line }

    var object: JSONLine {
        var object = JSONLine()
        object.add("id", number: event.position.rawValue)
        object.add("event_id", string: event.id.uuidString.lowercased())
        object.add("event_type", string: event.type)
        object.add("aggregate_type", string: event.stream.aggregateType)
        object.add("aggregate_id", string: event.stream.aggregateID)
        object.add("version", number: Int64(event.version))
        object.add("event_data", json: event.data)
        object.add("metadata", json: event.metadata ?? .null)
        object.add("occurred_at", string: event.occurredAt.rfc3339)
        object.add("created_at", string: event.createdAt.rfc3339)
        if let payload = event.payload {
            object.add("content_type", string: payload.contentType)
            object.add("payload", string: Data(payload.bytes).base64EncodedString())
        }
        return object
    }
}
