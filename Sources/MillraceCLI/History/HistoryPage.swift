import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One event of an aggregate with what it changed, for people or for programs.
struct HistoryPage {
    let entry: HistoryEntry

    /// Lines cut to the terminal's width; whole where the output is no terminal.
    func text(for terminal: Terminal) -> String {
        let event = entry.event
        let time = event.occurredAt.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let head =
            terminal.styled("v\(event.version)", .bold) + terminal.styled("  \(time)  ", .dim)
            + terminal.styled(event.type.printable, .cyan) + "\n"
        if entry.differences.isEmpty { return head + terminal.styled("  changes nothing", .dim) + "\n" }
        return head + entry.differences.map { line($0, terminal) }.joined()
    }

    private func line(_ difference: StateDifference, _ terminal: Terminal) -> String {
        let path = difference.path.isEmpty ? "the state" : difference.path.printable
        let room = terminal.width.map { $0 - HistoryPage.indent } ?? .max
        switch (difference.before?.text.printable, difference.after?.text.printable) {
        case (let before?, let after?):
            // A long value does not push the other one out of sight.
            let half = room == .max ? .max : (room - path.count - HistoryPage.between) / 2
            let share = half == .max ? .max : half + max(0, half - min(before.count, after.count))
            let values = "\(cut(before, to: share)) → \(cut(after, to: share))"
            return "  \(terminal.styled("~", .yellow)) \(cut("\(path): \(values)", to: room))\n"
        case (nil, let after?):
            return "  \(terminal.styled("+", .green)) \(cut("\(path): \(after)", to: room))\n"
        case (_, nil):
            return "  \(terminal.styled("-", .red)) \(cut(path, to: room))\n"
        }
    }

    /// What stands before a path, and between it and two values.
    private static let indent = 4
    private static let between = 5

    private func cut(_ text: String, to room: Int) -> String {
        text.count > room ? String(text.prefix(max(0, room - 1))) + "…" : text
    }

    /// The event's columns as `millrace read` writes them, the state after it, and the differences; a value that is not there is left out.
    func json() throws -> String {
        var line = EventLine(event: entry.event).object
        line.add("state", json: entry.after ?? .null)
        line.add(
            "differences",
            objects: entry.differences.map { difference in
                var object = JSONLine()
                object.add("path", string: difference.path)
                if let before = difference.before { object.add("before", json: before) }
                if let after = difference.after { object.add("after", json: after) }
                return object
            }
        )
        return line.line
    }
}
