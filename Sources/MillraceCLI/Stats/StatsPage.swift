#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The facts of a store as people read them.
struct StatsPage {
    private let facts: StoreFacts
    private let terminal: Terminal

    init(_ facts: StoreFacts, terminal: Terminal) {
        self.facts = facts
        self.terminal = terminal
    }

    var text: String {
        [summary, eventTypes, months, imports, holders].filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private static let unseen = "not visible to this role"

    private var summary: String {
        var lines: [(String, String)] = []
        lines.append(("database", "\(facts.database.name), \(facts.database.bytes.bytes)"))
        lines.append(("events", facts.events.map { StatsPage.number($0.count) } ?? StatsPage.unseen))
        lines.append(
            (
                "streams",
                facts.streams.map { "\(StatsPage.number($0)), \(facts.database.streamsBytes.bytes)" }
                    ?? StatsPage.unseen
            )
        )
        if let positions = facts.positions {
            let range =
                if let first = positions.first, let last = positions.last {
                    "\(first.grouped) to \(last.grouped)"
                } else {
                    "none yet"
                }
            lines.append(("positions", range))
            lines.append(("horizon", horizon(positions)))
        } else {
            lines.append(("positions", StatsPage.unseen))
        }
        return lines.map { terminal.styled($0.0.padded(to: 10), .bold) + "  \($0.1)\n" }.joined()
    }

    private func horizon(_ positions: StoreFacts.Positions) -> String {
        guard positions.eventsBehind > 0 else { return "\(positions.horizon.grouped), nothing behind it" }
        let isMore = positions.eventsBehind >= StoreFacts.mostBehind
        return terminal.styled(
            "\(positions.horizon.grouped), \(positions.eventsBehind.grouped)\(isMore ? " or more" : "") stored events "
                + "wait behind it",
            .yellow
        )
    }

    private var eventTypes: String {
        guard let events = facts.events, !events.byType.isEmpty else { return "" }
        var table = Table([("event type", .left), ("events", .right), ("share", .right)])
        for type in events.byType {
            table.add([
                type.type,
                StatsPage.number(.init(value: type.events, isExact: events.count.isExact)),
                "\((100 * Double(type.events) / Double(max(1, events.count.value))).fixed(1)) %",
            ])
        }
        let hidden = events.types - Int64(events.byType.count)
        let more = hidden > 0 ? "and \(hidden.grouped) more types: --top \(min(events.types, 1000))\n" : ""
        return table.rendered(for: terminal) + more
    }

    private var months: String {
        guard !facts.partitions.isEmpty else { return terminal.styled("no partitions\n", .red) }
        var table = Table([("partition", .left), ("size", .right), ("rows", .right)])
        for partition in facts.partitions {
            let rows =
                partition.heapBytes == 0 ? "0" : partition.rowsEstimated.map { "~\($0.grouped)" } ?? "not counted yet"
            table.add([partition.name, partition.bytes.bytes, rows])
        }
        return table.rendered(for: terminal)
    }

    private var imports: String {
        guard let imports = facts.imports, !imports.isEmpty else { return "" }
        var table = Table([("import", .left), ("lines", .right), ("events", .right), ("state", .left)])
        for one in imports {
            let state = one.finishedAt.map { "finished \(StatsPage.time($0))" } ?? "at \(StatsPage.time(one.updatedAt))"
            table.add([one.name, one.lines.grouped, one.eventsStored.grouped, state])
        }
        return table.rendered(for: terminal)
    }

    private var holders: String {
        guard let holders = facts.holders, !holders.isEmpty else { return "" }
        var table = Table([
            ("holds the horizon", .left), ("for", .right), ("positions behind", .right), ("settle with", .left),
        ])
        for holder in holders {
            table.add([
                holder.label,
                holder.seconds.map { Duration.seconds($0).brief } ?? "?",
                holder.positionsBehind.grouped,
                holder.settleWith ?? "",
            ])
        }
        return table.rendered(for: terminal)
    }

    private static func number(_ count: StoreFacts.Count) -> String {
        (count.isExact ? "" : "~") + count.value.grouped
    }

    private static func time(_ date: Date) -> String { date.formatted(Date.ISO8601FormatStyle()) }
}

extension String {
    func padded(to width: Int) -> String {
        count < width ? self + String(repeating: " ", count: width - count) : self
    }
}
