public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A range of the log that a handler handles once more, beside what it does anyway.
public struct HandlerReplay: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, Codable, CaseIterable {
        /// Some lane has not come to its end.
        case open
        case finished
        case cancelled
    }

    public let id: Int64
    public let handler: String
    public let first: Position
    public let last: Position
    public let state: State
    public let requestedBy: String
    public let requestedAt: Date
    public let cancelledBy: String?
    public let cancelledAt: Date?
    public let lanes: Int
    /// Lanes that have come to its end.
    public let lanesDone: Int
    /// Where the slowest lane is.
    public let checkpoint: Position
    public let processed: Int64
    public let failed: Int64
}

/// What was asked for, or would be.
public struct HandlerReplayRequest: Sendable, Hashable {
    /// nil: it was a dry run.
    public let id: Int64?
    public let first: Position
    /// No further than the handler's slowest lane has come.
    public let last: Position
    /// Events of the handler in between.
    public let events: EventCount
}

extension HandlerOperations {
    private static let requestReplay: PostgresStatement = """
        SELECT replay_id, first_position, last_position, events, is_exact FROM millrace.request_replay($1, $2, $3, $4)
        """
    private static let listReplays: PostgresStatement = """
        SELECT replay_id, handler_id, first_position, last_position, state, requested_by, requested_at, cancelled_by, cancelled_at,
               lanes, lanes_done, checkpoint, processed, failed
        FROM millrace.list_replays($1, $2)
        """
    private static let cancelReplay: PostgresStatement = "SELECT millrace.cancel_replay($1)"

    /// Asks for a range of the log, both ends included, to be handled once more. One at a time for a handler. One round trip.
    ///
    /// - Parameters:
    ///   - last: nil: as far as the handler has come.
    ///   - dryRun: nothing is asked for; only what would be.
    public func replay(
        _ name: String,
        from first: Position,
        through last: Position? = nil,
        dryRun: Bool = false,
        in session: (any PostgresSession)? = nil
    ) async throws -> HandlerReplayRequest {
        let row = try await query(
            HandlerOperations.requestReplay,
            [.text(name), .int8(first.rawValue), .int8(last?.rawValue), .bool(dryRun)],
            in: session
        ).single()
        return HandlerReplayRequest(
            id: try row.decode(Int64?.self, named: "replay_id"),
            first: Position(try row.decode(Int64.self, named: "first_position")),
            last: Position(try row.decode(Int64.self, named: "last_position")),
            events: EventCount(
                events: try row.decode(Int64.self, named: "events"),
                isExact: try row.decode(Bool.self, named: "is_exact")
            )
        )
    }

    /// The replays of a handler, or of all, the newest first. One round trip.
    public func replays(
        of name: String? = nil,
        limit: Int = 100,
        in session: (any PostgresSession)? = nil
    ) async throws -> [HandlerReplay] {
        try await query(
            HandlerOperations.listReplays,
            [.text(name), .int4(Int32(clamping: limit))],
            in: session
        ).map { row in
            HandlerReplay(
                id: try row.decode(Int64.self, named: "replay_id"),
                handler: try row.decode(String.self, named: "handler_id"),
                first: Position(try row.decode(Int64.self, named: "first_position")),
                last: Position(try row.decode(Int64.self, named: "last_position")),
                state: try row.word("state"),
                requestedBy: try row.decode(String.self, named: "requested_by"),
                requestedAt: try row.decode(Date.self, named: "requested_at"),
                cancelledBy: try row.decode(String?.self, named: "cancelled_by"),
                cancelledAt: try row.decode(Date?.self, named: "cancelled_at"),
                lanes: try row.decode(Int.self, named: "lanes"),
                lanesDone: try row.decode(Int.self, named: "lanes_done"),
                checkpoint: Position(try row.decode(Int64.self, named: "checkpoint")),
                processed: try row.decode(Int64.self, named: "processed"),
                failed: try row.decode(Int64.self, named: "failed")
            )
        }
    }

    /// Ends a replay where it is; what it has handled stays. One round trip.
    ///
    /// - Returns: the state it was in; only one that was open is cancelled by it.
    @discardableResult
    public func cancelReplay(
        _ id: Int64,
        in session: (any PostgresSession)? = nil
    ) async throws -> HandlerReplay.State {
        let row = try await query(HandlerOperations.cancelReplay, [.int8(id)], in: session).single()
        return try HandlerReplay.State.known(row.decode(String.self, at: 0))
    }
}
