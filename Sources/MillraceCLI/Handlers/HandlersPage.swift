import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// All handlers at a moment, and what happened since the look before.
struct HandlersPage {
    /// An error is shown up to here in a table.
    static let longestError = 60

    private let handlers: [HandlerStatus]
    private let time = ContinuousClock.now
    /// Events a second, by handler; nil: this is the first look.
    private let rates: [String: Double]?

    init(_ handlers: [HandlerStatus], since last: HandlersPage? = nil) {
        self.handlers = handlers
        guard let last else {
            rates = nil
            return
        }
        let seconds = max((time - last.time).seconds, 0.001)
        var rates: [String: Double] = [:]
        for handler in handlers {
            guard let before = last.handlers.first(where: { $0.name == handler.name }) else { continue }
            // A reset begins to count anew.
            rates[handler.name] = Double(max(0, handler.processed - before.processed)) / seconds
        }
        self.rates = rates
    }

    func text(for terminal: Terminal) -> String {
        if handlers.isEmpty { return "There is no handler: the first worker of one registers it.\n" }
        var columns: [(String, Table.Alignment)] = [
            ("handler", .left), ("state", .left), ("workers", .right), ("lanes", .right), ("pending", .right),
            ("lag", .right),
            ("retrying", .right), ("parked", .right), ("waiting", .right), ("processed", .right),
        ]
        if rates != nil { columns.append(("events/s", .right)) }
        columns.append(("last error", .left))
        var table = Table(columns)
        for handler in handlers {
            var row = [
                handler.name.printable, handler.state.rawValue, handler.workers.grouped,
                "\(handler.lanesLeased.grouped)/\(handler.lanes.grouped)", handler.pending.text, handler.lag.lagText,
                (handler.retrying + handler.discarding).grouped, handler.parked.grouped, handler.waiting.grouped,
                handler.processed.grouped,
            ]
            if let rates { row.append(rates[handler.name].map { Int($0.rounded()).grouped } ?? "") }
            row.append(handler.lastError?.cut(to: HandlersPage.longestError) ?? "")
            table.add(row)
        }
        return table.rendered(for: terminal) + handlers.compactMap { remark($0, terminal) }.joined()
    }

    private func remark(_ handler: HandlerStatus, _ terminal: Terminal) -> String? {
        guard handler.state != .active else { return nil }
        let reason = handler.reason.map { ": \($0.printable)" } ?? ""
        let since = handler.stateSince.formatted(Date.ISO8601FormatStyle())
        return terminal.styled(
            "\(handler.name.printable) is \(handler.state.rawValue) since \(since)\(reason)\n",
            handler.state == .stopped ? .red : .yellow
        )
    }

    var json: String {
        handlers.map { handler in
            var object = handler.jsonLine
            if let rates {
                object.add("events_per_second", json: rates[handler.name].map { JSON($0.fixed(1)) } ?? .null)
            }
            return object.line
        }.joined()
    }
}

extension HandlerStatus {
    var jsonLine: JSONLine {
        var object = JSONLine()
        object.add("handler", string: name)
        object.add("kind", string: isSQL ? "sql" : "swift")
        object.add("function", string: function)
        if let types = filter.eventTypes {
            object.add("event_types", strings: types)
        } else {
            object.add("event_types", json: .null)
        }
        if let types = filter.aggregateTypes {
            object.add("aggregate_types", strings: types)
        } else {
            object.add("aggregate_types", json: .null)
        }
        object.add("lanes", number: Int64(lanes))
        object.add("state", string: state.rawValue)
        object.add("reason", string: reason)
        object.add("state_since", string: stateSince.rfc3339)
        object.add("registered_at", string: registeredAt.rfc3339)
        object.add("max_attempts", number: Int64(maxAttempts))
        object.add("parked_limit", number: Int64(parkedLimit))
        object.add("workers", number: Int64(workers))
        object.add("lanes_leased", number: Int64(lanesLeased))
        object.add("checkpoint", number: checkpoint.rawValue)
        object.add("processed", number: processed)
        object.add("discarded", number: discarded)
        object.add("pending", number: pending.events)
        object.add("pending_is_exact", bool: pending.isExact)
        object.add("lag_seconds", seconds: lag)
        object.add("retrying", number: retrying)
        object.add("discarding", number: discarding)
        object.add("parked", number: parked)
        object.add("waiting", number: waiting)
        object.add("last_error", string: lastError)
        object.add("last_failed_at", string: lastFailedAt?.rfc3339)
        return object
    }
}

extension EventCount {
    /// “1,234”, or “10,000+” where not all were counted.
    var text: String { events.grouped + (isExact ? "" : "+") }
}

extension Duration {
    /// How far behind; nothing where it is not.
    var lagText: String { self == .zero ? "" : brief }
}

extension String {
    /// On one line, and no longer.
    func cut(to length: Int) -> String {
        let line = printable
        return line.count > length ? line.prefix(length - 1) + "…" : line
    }
}
