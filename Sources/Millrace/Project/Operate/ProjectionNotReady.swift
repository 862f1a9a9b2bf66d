/// Why a generation does not become what was waited for. It is left as it is: waiting again goes on where this ended.
public enum ProjectionNotReady: Error, Sendable, Hashable {
    /// No process that runs has offered to write this version for so long.
    case nobodyRuns(projection: String, generation: Int, version: Int, isWrittenByFunctions: Bool, waited: Duration)
    /// Somebody has to do something first: its handler is stopped or paused, or streams wait for an event that failed.
    case held(projection: String, generation: Int, handler: String, reason: String)
    /// It was not equal to the one that serves within the time.
    case notEqual(projection: String, generation: Int, reason: String, waited: Duration)
}

extension ProjectionNotReady: CustomStringConvertible {
    public var description: String {
        switch self {
        case .nobodyRuns(let projection, let generation, let version, let isWrittenByFunctions, let waited):
            "nobody runs version \(version) of the projection “\(projection)”, for \(waited) already, so its generation \(generation) "
                + "is not written: "
                + (isWrittenByFunctions
                    ? "functions write it, so run the daemon (`millrace up` or `millrace work`)"
                    : "start a process that has this version of it")
        case .held(let projection, let generation, let handler, let reason):
            "generation \(generation) of the projection “\(projection)” cannot go on: \(reason). `millrace handlers show \(handler)` and "
                + "`millrace parked list --handler \(handler)` say more"
        case .notEqual(let projection, let generation, let reason, let waited):
            "generation \(generation) of the projection “\(projection)” was not equal to the one that serves within \(waited): \(reason)"
        }
    }
}

/// Says when it is no use to wait for a generation any longer.
struct ProjectionPatience {
    /// How long nobody may write it, and how long its streams may wait when everything else is done.
    let limit: Duration
    private var aloneSince: ContinuousClock.Instant?
    private var stuckSince: ContinuousClock.Instant?
    private var isHeld = false

    init(_ limit: Duration) { self.limit = limit }

    /// Takes note of how it is; throws where the patience is at its end.
    mutating func look(at status: ProjectionStatus, now: ContinuousClock.Instant = .now) throws(ProjectionNotReady) {
        // Seen once it may be a swap that was under way while it was looked at: a generation and its handler are not read in one snapshot.
        let wasHeld = isHeld
        isHeld = status.handlerState != .active
        if isHeld && wasHeld {
            let reason = status.handlerReason.map { ": \($0)" } ?? ""
            throw held(status, "its handler is \(status.handlerState.rawValue)\(reason)")
        }
        aloneSince = status.workers > 0 ? nil : aloneSince ?? now
        if let aloneSince, now - aloneSince >= limit {
            throw .nobodyRuns(
                projection: status.projection,
                generation: status.generation,
                version: status.version,
                isWrittenByFunctions: status.functions != nil,
                waited: limit
            )
        }
        let isStuck = status.waitingStreams > 0 && status.pending?.events == 0
        stuckSince = isStuck ? stuckSince ?? now : nil
        if let stuckSince, now - stuckSince >= limit {
            throw held(
                status,
                "\(status.waitingStreams) of its streams \(status.waitingStreams == 1 ? "waits" : "wait") for an event that failed"
            )
        }
    }

    private func held(_ status: ProjectionStatus, _ reason: String) -> ProjectionNotReady {
        .held(
            projection: status.projection,
            generation: status.generation,
            handler: status.handler,
            reason: reason
        )
    }
}
