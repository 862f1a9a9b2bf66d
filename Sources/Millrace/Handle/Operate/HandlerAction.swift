public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Something that was done to a handler, or to an event that waited for it.
public struct HandlerAction: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        case pause, stop, resume, reset, replay, retry, discard, edit, remove
        case cancelReplay = "cancel_replay"
        /// Done to the generation of a projection that the handler writes.
        case build, swap, drop
        case rollBack = "roll_back"
    }

    public let id: Int64
    public let time: Date
    /// The role that had logged in.
    public let actor: String
    public let kind: Kind
    public let handler: String
    /// Of the event, where one is meant.
    public let position: Position?
    public let eventID: UUID?
    public let reason: String?
    /// How it was before.
    public let details: JSON?
}

/// An audited attempt of a handler at an event.
public struct HandlerAttempt: Sendable, Hashable {
    public enum Status: String, Sendable, Hashable, Codable, CaseIterable {
        case success, failed, retrying, parked, discarded
    }

    public let time: Date
    public let number: Int
    public let status: Status
    /// What went wrong, or why it was discarded.
    public let error: String?
    public let worker: String
    public let duration: Duration
}

extension HandlerOperations {
    private static let listActions: PostgresStatement = """
        SELECT action_id, acted_at, acted_by, action, handler_id, position, event_id, reason, details
        FROM millrace.list_actions($1, $2, $3)
        """
    private static let listAttempts: PostgresStatement = """
        SELECT processed_at, attempt, status, error, worker, extract(epoch FROM duration)::float8 AS seconds
        FROM millrace.list_attempts($1, $2, $3)
        """

    /// What was done, the newest first: to a handler, to one event of it, or to all. One round trip.
    public func actions(
        of name: String? = nil,
        on position: Position? = nil,
        limit: Int = 100,
        in session: (any PostgresSession)? = nil
    ) async throws -> [HandlerAction] {
        try await query(
            HandlerOperations.listActions,
            [.text(name), .int8(position?.rawValue), .int4(Int32(clamping: limit))],
            in: session
        ).map { row in
            HandlerAction(
                id: try row.decode(Int64.self, named: "action_id"),
                time: try row.decode(Date.self, named: "acted_at"),
                actor: try row.decode(String.self, named: "acted_by"),
                kind: try row.word("action"),
                handler: try row.decode(String.self, named: "handler_id"),
                position: try row.decode(Int64?.self, named: "position").map { Position($0) },
                eventID: try row.decode(UUID?.self, named: "event_id"),
                reason: try row.decode(String?.self, named: "reason"),
                details: try row.decode([UInt8]?.self, named: "details").map { JSON(utf8: $0) }
            )
        }
    }

    /// The audited attempts of a handler at an event, the newest first; which are, is the handler's setting. One round trip.
    public func attempts(
        of name: String,
        on position: Position,
        limit: Int = 100,
        in session: (any PostgresSession)? = nil
    ) async throws -> [HandlerAttempt] {
        try await query(
            HandlerOperations.listAttempts,
            [.text(name), .int8(position.rawValue), .int4(Int32(clamping: limit))],
            in: session
        ).map { row in
            HandlerAttempt(
                time: try row.decode(Date.self, named: "processed_at"),
                number: try row.decode(Int.self, named: "attempt"),
                status: try row.word("status"),
                error: try row.decode(String?.self, named: "error"),
                worker: try row.decode(String.self, named: "worker"),
                duration: .seconds(try row.decode(Double.self, named: "seconds"))
            )
        }
    }
}
