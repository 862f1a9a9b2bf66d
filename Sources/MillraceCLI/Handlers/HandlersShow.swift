import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct HandlersShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "One handler, with its lanes and what was done to it.",
        discussion: "With --json one document: the handler, its lanes, replays and the newest actions."
    )

    static let mostActions = 10

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "Its name.")
    var name: String

    func run() async throws {
        let page = try await database.withStore { [name] store in
            HandlerPage(
                handler: try await store.handlers.status(of: name),
                lanes: try await store.handlers.lanes(of: name),
                replays: try await store.handlers.replays(of: name, limit: HandlersShow.mostActions),
                actions: try await store.handlers.actions(of: name, limit: HandlersShow.mostActions)
            )
        }
        try Terminal.output.write(output.json ? page.json : page.text(for: .output))
    }
}

/// One handler as people and programs read it.
struct HandlerPage {
    let handler: HandlerStatus
    let lanes: [LaneStatus]
    let replays: [HandlerReplay]
    let actions: [HandlerAction]

    func text(for terminal: Terminal) -> String {
        [summary(terminal), laneTable(terminal), ReplayTable(replays).text(for: terminal), actionTable(terminal)]
            .filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private func summary(_ terminal: Terminal) -> String {
        let reason = handler.reason.map { ": \($0.printable)" } ?? ""
        let types = handler.filter.eventTypes.map { $0.map(\.printable).joined(separator: ", ") } ?? "all"
        let aggregates = handler.filter.aggregateTypes.map { $0.map(\.printable).joined(separator: ", ") } ?? "all"
        let lines: [(String, String)] = [
            ("handler", handler.name.printable + (handler.function.map { ", the function \($0.printable)" } ?? "")),
            ("state", "\(handler.state.rawValue) since \(handler.stateSince.rfc3339)\(reason)"),
            ("events", "types: \(types); aggregate types: \(aggregates)"),
            (
                "workers",
                "\(handler.workers.grouped), with \(handler.lanesLeased.grouped) of \(handler.lanes.grouped) lanes"
            ),
            ("pending", handler.pending.text + (handler.lag == .zero ? "" : ", the oldest for \(handler.lag.brief)")),
            ("settled", "\(handler.processed.grouped) processed, \(handler.discarded.grouped) discarded"),
            (
                "set aside",
                "\(handler.retrying.grouped) retrying, \(handler.discarding.grouped) discarding, \(handler.parked.grouped) parked "
                    + "(at most \(handler.parkedLimit.grouped) streams), \(handler.waiting.grouped) events wait behind"
            ),
        ]
        let error = handler.lastError.map { terminal.styled("last error", .bold) + "  \($0.printable)\n" } ?? ""
        return lines.map { terminal.styled($0.0.padded(to: 10), .bold) + "  \($0.1)\n" }.joined() + error
    }

    private func laneTable(_ terminal: Terminal) -> String {
        var table = Table([
            ("lane", .right), ("checkpoint", .right), ("worker", .left), ("lease", .left), ("pending", .right),
            ("lag", .right),
            ("retrying", .right), ("parked", .right), ("waiting", .right),
        ])
        let now = Date()
        for lane in lanes {
            let left = lane.leasedUntil.map { $0.timeIntervalSince(now) }
            table.add([
                "\(lane.lane)", lane.checkpoint.rawValue.grouped, lane.worker?.printable ?? "",
                left.map { $0 > 0 ? "\(Duration.seconds($0).brief) left" : "ended" } ?? "free",
                lane.pending?.text ?? "?",
                lane.lag?.lagText ?? "?", (lane.retrying + lane.discarding).grouped, lane.parked.grouped,
                lane.waiting.grouped,
            ])
        }
        return table.rendered(for: terminal)
    }

    private func actionTable(_ terminal: Terminal) -> String {
        ActionTable(actions).text(for: terminal)
    }

    var json: String {
        var object = handler.jsonLine
        object.add("lane_details", objects: lanes.map(\.jsonLine))
        object.add("replays", objects: replays.map(\.jsonLine))
        object.add("actions", objects: actions.map(\.jsonLine))
        return object.line
    }
}

/// What operators did, the newest first.
struct ActionTable {
    private let actions: [HandlerAction]

    init(_ actions: [HandlerAction]) { self.actions = actions }

    func text(for terminal: Terminal) -> String {
        guard !actions.isEmpty else { return "" }
        var table = Table([("done", .left), ("by", .left), ("what", .left), ("position", .right), ("why", .left)])
        for action in actions {
            table.add([
                action.time.formatted(Date.ISO8601FormatStyle()), action.actor.printable, action.kind.rawValue,
                action.position.map { $0.rawValue.grouped } ?? "",
                action.reason?.cut(to: HandlersPage.longestError) ?? "",
            ])
        }
        return table.rendered(for: terminal)
    }
}

extension LaneStatus {
    var jsonLine: JSONLine {
        var object = JSONLine()
        object.add("lane", number: Int64(lane))
        object.add("checkpoint", number: checkpoint.rawValue)
        object.add("worker", string: worker)
        object.add("leased_until", string: leasedUntil?.rfc3339)
        object.add("moved_at", string: movedAt?.rfc3339)
        object.add("pending", number: pending?.events)
        object.add("pending_is_exact", bool: pending?.isExact ?? false)
        object.add("lag_seconds", seconds: lag)
        object.add("retrying", number: retrying)
        object.add("discarding", number: discarding)
        object.add("parked", number: parked)
        object.add("waiting", number: waiting)
        return object
    }
}

extension HandlerAction {
    var jsonLine: JSONLine {
        var object = JSONLine()
        object.add("action", string: kind.rawValue)
        object.add("handler", string: handler)
        object.add("acted_at", string: time.rfc3339)
        object.add("acted_by", string: actor)
        object.add("position", number: position?.rawValue)
        object.add("event_id", string: eventID?.uuidString.lowercased())
        object.add("reason", string: reason)
        object.add("details", json: details ?? .null)
        return object
    }
}
