import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A stream that waits for a handler: the event at its head, which failed, and how many events wait behind it, in order.
public struct ParkedEvent: Sendable, Hashable {
    public enum Status: String, Sendable, Hashable, Codable, CaseIterable {
        /// Handled again at ``ParkedEvent/nextAttemptAt``.
        case retrying
        /// Passed over next, for ``ParkedEvent/discardReason``.
        case discarding
        /// Waits for somebody.
        case parked
    }

    public let handler: String
    public let stream: StreamID
    public let lane: Int
    public let position: Position
    public let eventID: UUID
    public let eventType: String
    public let version: Int
    public let status: Status
    /// How often it was handled, since it was retried last by somebody.
    public let attempts: Int
    public let error: String?
    /// An SQLSTATE, or the name of a Swift type.
    public let errorKind: String?
    public let firstFailedAt: Date
    public let lastFailedAt: Date
    public let nextAttemptAt: Date?
    public let waiting: Int64
    /// What the handler gets in the place of the event's data; nil: the event's own.
    public let editedData: JSON?
    public let editedBy: String?
    public let discardReason: String?
}

/// Which waiting streams are meant: those that fulfil all of it.
public struct ParkedFilter: Sendable, Hashable {
    public var handler: String?
    public var aggregateType: String?
    public var aggregateID: String?
    public var eventID: UUID?
    public var eventType: String?
    /// A pattern of SQL's LIKE, upper and lower case alike: `%timeout%`.
    public var error: String?
    public var status: ParkedEvent.Status?

    public init(
        handler: String? = nil,
        aggregateType: String? = nil,
        aggregateID: String? = nil,
        eventID: UUID? = nil,
        eventType: String? = nil,
        error: String? = nil,
        status: ParkedEvent.Status? = nil
    ) {
        self.handler = handler
        self.aggregateType = aggregateType
        self.aggregateID = aggregateID
        self.eventID = eventID
        self.eventType = eventType
        self.error = error
        self.status = status
    }

    /// Every stream of every handler.
    public static let all = ParkedFilter()

    var parameters: [PostgresValue] {
        [
            .text(handler), .text(aggregateType), .text(aggregateID), .uuid(eventID), .text(eventType), .text(error),
            .text(status?.rawValue),
        ]
    }
}

extension ParkedEvent {
    static let columns = """
        handler_id, aggregate_type, aggregate_id, lane, position, event_id, event_type, version, status, attempts, error, error_kind,
        first_failed_at, last_failed_at, next_attempt_at, waiting, edited_data, edited_by, discard_reason
        """

    init(_ row: PostgresRow) throws {
        handler = try row.decode(String.self, named: "handler_id")
        stream = StreamID(
            try row.decode(String.self, named: "aggregate_type"),
            try row.decode(String.self, named: "aggregate_id")
        )
        lane = try row.decode(Int.self, named: "lane")
        position = Position(try row.decode(Int64.self, named: "position"))
        eventID = try row.decode(UUID.self, named: "event_id")
        eventType = try row.decode(String.self, named: "event_type")
        version = try row.decode(Int.self, named: "version")
        status = try row.word("status")
        attempts = try row.decode(Int.self, named: "attempts")
        error = try row.decode(String?.self, named: "error")
        errorKind = try row.decode(String?.self, named: "error_kind")
        firstFailedAt = try row.decode(Date.self, named: "first_failed_at")
        lastFailedAt = try row.decode(Date.self, named: "last_failed_at")
        nextAttemptAt = try row.decode(Date?.self, named: "next_attempt_at")
        waiting = try row.decode(Int64.self, named: "waiting")
        editedData = try row.decode([UInt8]?.self, named: "edited_data").map { JSON(utf8: $0) }
        editedBy = try row.decode(String?.self, named: "edited_by")
        discardReason = try row.decode(String?.self, named: "discard_reason")
    }
}
