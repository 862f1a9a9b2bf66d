import MillracePostgres

/// A handler had not come to the end of the log in time.
public struct HandlerIsBehind: Error, CustomStringConvertible {
    public let handler: String
    public let limit: Duration
    public let checkpoint: Position

    public var description: String {
        "“\(handler)” had not handled everything within \(limit): its slowest lane is at position \(checkpoint)"
    }
}

extension EventStore {
    private static let handlerProgress: PostgresStatement = """
        SELECT coalesce((SELECT min(l.checkpoint) FROM millrace.handler_lanes AS l WHERE l.handler_id = $1), -1),
               (SELECT count(*) FROM millrace.parked_events AS p WHERE p.handler_id = $1 AND p.status <> 'parked')
        """

    /// Returns when a handler that some process runs has handled, or parked, everything up to a position: for who has to read what it
    /// made of what he appended, and for tests.
    ///
    /// Looks at the checkpoints, at intervals of 1 to 50 ms; where a lane finds nothing of its own its checkpoint follows at the worker's beat.
    /// - Parameter position: nil: all that is in the log when this is called.
    /// - Throws: ``HandlerIsBehind``.
    public func waitUntilHandled(
        by handler: String,
        upTo position: Position? = nil,
        within limit: Duration = .seconds(60)
    ) async throws {
        let target = if let position { position } else { try await lastPosition() }
        let deadline = ContinuousClock.now + limit
        var wait = Duration.milliseconds(1)
        while true {
            let row = try await client.query(EventStore.handlerProgress, [.text(handler)]).single()
            let checkpoint = Position(try row.decode(Int64.self, at: 0))
            if checkpoint >= target, try row.decode(Int64.self, at: 1) == 0 { return }
            guard ContinuousClock.now < deadline else {
                throw HandlerIsBehind(handler: handler, limit: limit, checkpoint: checkpoint)
            }
            try await Task.sleep(for: wait)
            wait = min(wait * 2, .milliseconds(50))
        }
    }
}
