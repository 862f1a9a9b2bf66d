import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Replays as people read them.
struct ReplayTable {
    private let replays: [HandlerReplay]

    init(_ replays: [HandlerReplay]) { self.replays = replays }

    func text(for terminal: Terminal) -> String {
        guard !replays.isEmpty else { return "" }
        var table = Table([
            ("replay", .right), ("from", .right), ("through", .right), ("state", .left), ("lanes done", .right),
            ("processed", .right), ("failed", .right), ("asked for", .left), ("by", .left),
        ])
        for replay in replays {
            table.add([
                "\(replay.id)", replay.first.rawValue.grouped, replay.last.rawValue.grouped, replay.state.rawValue,
                "\(replay.lanesDone.grouped)/\(replay.lanes.grouped)", replay.processed.grouped, replay.failed.grouped,
                replay.requestedAt.formatted(Date.ISO8601FormatStyle()), replay.requestedBy.printable,
            ])
        }
        return table.rendered(for: terminal)
    }
}

extension HandlerReplay {
    var jsonLine: JSONLine {
        var object = JSONLine()
        object.add("replay_id", number: id)
        object.add("handler", string: handler)
        object.add("first", number: first.rawValue)
        object.add("last", number: last.rawValue)
        object.add("state", string: state.rawValue)
        object.add("requested_by", string: requestedBy)
        object.add("requested_at", string: requestedAt.rfc3339)
        object.add("cancelled_by", string: cancelledBy)
        object.add("cancelled_at", string: cancelledAt?.rfc3339)
        object.add("lanes", number: Int64(lanes))
        object.add("lanes_done", number: Int64(lanesDone))
        object.add("checkpoint", number: checkpoint.rawValue)
        object.add("processed", number: processed)
        object.add("failed", number: failed)
        return object
    }
}
