public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What an operator does with handlers, whatever processes they run in: the database is asked, and its word counts everywhere.
///
///     for handler in try await store.handlers.list() where handler.state == .stopped { … }
///     try await store.handlers.retryParked(ParkedFilter(handler: "billing", error: "%timeout%"))
///
/// An unknown handler throws ``EventStoreError/handlerRefused(_:hint:)``, a value that is out of range
/// ``EventStoreError/invalidEvent(_:hint:)``. What changes something needs the role `millrace_admin`, pausing `millrace_consumer`, and
/// leaves a ``HandlerAction``.
public struct HandlerOperations: Sendable {
    let store: EventStore

    func query(
        _ statement: PostgresStatement,
        _ parameters: [PostgresValue] = [],
        in session: (any PostgresSession)?
    ) async throws -> PostgresRows {
        try await EventStoreError.translating { try await (session ?? store.client).query(statement, parameters) }
    }
}

extension EventStore {
    /// Looking at handlers, and operating them.
    public var handlers: HandlerOperations { HandlerOperations(store: self) }
}

// MARK: Looking

extension HandlerOperations {
    private static let listHandlers: PostgresStatement = """
        SELECT handler_id, kind, function, event_types, aggregate_types, lanes, state, state_reason, state_since, max_attempts,
               parked_limit, registered_at, workers, lanes_leased, checkpoint, processed, discarded, pending, is_exact, lag,
               retrying, discarding, parked, waiting, last_error, last_failed_at
        FROM millrace.list_handlers($1)
        """
    private static let listLanes: PostgresStatement = """
        SELECT lane, checkpoint, worker, leased_until, moved_at, pending, is_exact, lag, retrying, discarding, parked, waiting
        FROM millrace.list_lanes($1)
        """
    private static let positionBefore: PostgresStatement = "SELECT millrace.position_before($1)"

    /// Every handler, by name. One round trip; some milliseconds, whatever the size of the log.
    public func list(in session: (any PostgresSession)? = nil) async throws -> [HandlerStatus] {
        try await query(HandlerOperations.listHandlers, [.text(nil)], in: session).map { try HandlerStatus($0) }
    }

    /// One handler. One round trip.
    public func status(of name: String, in session: (any PostgresSession)? = nil) async throws -> HandlerStatus {
        try HandlerStatus(try await query(HandlerOperations.listHandlers, [.text(name)], in: session).single())
    }

    /// A handler's lanes, by number. One round trip.
    public func lanes(of name: String, in session: (any PostgresSession)? = nil) async throws -> [LaneStatus] {
        try await query(HandlerOperations.listLanes, [.text(name)], in: session).map { try LaneStatus($0) }
    }

    /// The position behind which everything lies that was stored at or after a moment, by PostgreSQL's clock. One round trip.
    public func position(before time: Date, in session: (any PostgresSession)? = nil) async throws -> Position {
        let row = try await query(HandlerOperations.positionBefore, [.timestamptz(time)], in: session).single()
        return Position(try row.decode(Int64.self, at: 0))
    }
}

// MARK: Stopping and starting

extension HandlerOperations {
    private static let pauseHandler: PostgresStatement = "SELECT millrace.stop_handler($1, 'paused', $2)"
    private static let resumeHandler: PostgresStatement = "SELECT millrace.resume_handler($1)"

    /// Ends a handler's work everywhere, after the transactions that are under way, until ``resume(_:in:)``. One round trip.
    ///
    /// - Returns: the state it was in; one that has stopped stays stopped.
    @discardableResult
    public func pause(
        _ name: String,
        reason: String? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> HandlerState {
        let row = try await query(HandlerOperations.pauseHandler, [.text(name), .text(reason)], in: session).single()
        return try HandlerState.known(row.decode(String.self, at: 0))
    }

    /// Lets a handler go on where it was. One round trip.
    ///
    /// - Returns: the state it was in.
    @discardableResult
    public func resume(_ name: String, in session: (any PostgresSession)? = nil) async throws -> HandlerState {
        let row = try await query(HandlerOperations.resumeHandler, [.text(name)], in: session).single()
        return try HandlerState.known(row.decode(String.self, at: 0))
    }
}

// MARK: Going back, and forward

/// Where a handler goes on after a reset.
public enum HandlerResetTarget: Sendable, Hashable {
    /// With the first event there is.
    case start
    /// With what comes from now on.
    case end
    /// With the first event after a position.
    case after(Position)
    /// With the first event that was stored at or after a moment, by PostgreSQL's clock.
    case time(Date)
}

/// What a reset does, or would do.
public struct HandlerReset: Sendable, Hashable {
    /// Lanes that are elsewhere.
    public let lanesMoved: Int
    /// Where the slowest lane is before.
    public let from: Position
    /// Where all lanes are afterwards.
    public let to: Position
    /// Streams that were set aside, and are handled from the new position on like all others.
    public let parkedDropped: Int64
    /// Events that are handled once more.
    public let again: EventCount
    /// Events that are left out, because no lane had come to them.
    public let leftOut: EventCount
}

extension HandlerOperations {
    private static let resetHandler: PostgresStatement = """
        SELECT lanes_moved, checkpoint_from, checkpoint_to, parked_dropped, events_again, events_left_out, is_exact
        FROM millrace.reset_handler($1, $2, $3)
        """

    /// Sends all lanes of a handler to one position: what lies behind it is handled again, or for the first time; what lies before is not.
    /// Streams that wait go on waiting where their head lies before it. Work under way is undone. One round trip, for a time two.
    ///
    /// - Parameter dryRun: nothing happens; only what would.
    public func reset(
        _ name: String,
        to target: HandlerResetTarget,
        dryRun: Bool = false,
        in session: (any PostgresSession)? = nil
    ) async throws -> HandlerReset {
        let position: Int64 =
            switch target {
            case .start: 0
            // The function knows where the log ends.
            case .end: .max
            case .after(let position): position.rawValue
            case .time(let time): try await self.position(before: time, in: session).rawValue
            }
        let row = try await query(
            HandlerOperations.resetHandler,
            [.text(name), .int8(position), .bool(dryRun)],
            in: session
        ).single()
        let isExact = try row.decode(Bool.self, named: "is_exact")
        return HandlerReset(
            lanesMoved: try row.decode(Int.self, named: "lanes_moved"),
            from: Position(try row.decode(Int64.self, named: "checkpoint_from")),
            to: Position(try row.decode(Int64.self, named: "checkpoint_to")),
            parkedDropped: try row.decode(Int64.self, named: "parked_dropped"),
            again: EventCount(events: try row.decode(Int64.self, named: "events_again"), isExact: isExact),
            leftOut: EventCount(events: try row.decode(Int64.self, named: "events_left_out"), isExact: isExact)
        )
    }
}
