import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Whether a handler works.
public enum HandlerState: String, Sendable, Hashable, Codable, CaseIterable {
    /// It works, wherever a worker of its name runs.
    case active
    /// An operator has paused it.
    case paused
    /// It stopped by itself: its code said so, or too many streams were set aside.
    case stopped
}

/// A number of events that are counted up to a limit.
public struct EventCount: Sendable, Hashable, Codable {
    public let events: Int64
    /// false: there are at least so many.
    public let isExact: Bool

    public init(events: Int64, isExact: Bool) {
        self.events = events
        self.isExact = isExact
    }
}

/// A handler as it is at a moment: what it is, whether it works, how far it has come.
///
/// Every event it is for, since its beginning, is one of: processed, discarded, pending, retrying, discarding, parked, waiting.
public struct HandlerStatus: Sendable, Hashable {
    public let name: String
    public let isSQL: Bool
    /// The function in the database, where it is one.
    public let function: String?
    public let filter: EventFilter
    public let lanes: Int
    public let state: HandlerState
    /// Why it is paused or stopped.
    public let reason: String?
    public let stateSince: Date
    public let registeredAt: Date
    public let maxAttempts: Int
    /// Streams that may be set aside; one more stops it.
    public let parkedLimit: Int
    /// Processes that offer to work for it at this moment.
    public let workers: Int
    /// Lanes that one of them has.
    public let lanesLeased: Int
    /// Where its slowest lane is.
    public let checkpoint: Position
    public let processed: Int64
    public let discarded: Int64
    /// Events that its lanes have not come to.
    public let pending: EventCount
    /// The age of the oldest of those; zero where there is none.
    public let lag: Duration
    /// Streams whose head failed and is handled again by itself.
    public let retrying: Int64
    /// Streams whose head is passed over next.
    public let discarding: Int64
    /// Streams that wait for somebody.
    public let parked: Int64
    /// Events that wait behind the heads of those streams.
    public let waiting: Int64
    /// The newest error among the streams that are set aside.
    public let lastError: String?
    public let lastFailedAt: Date?
}

/// One lane of a handler at a moment.
public struct LaneStatus: Sendable, Hashable {
    public let lane: Int
    public let checkpoint: Position
    /// The name of the worker that has it or had it last; nil: nobody has.
    public let worker: String?
    /// Until when it is leased; in the past, nobody works on it.
    public let leasedUntil: Date?
    /// When the checkpoint moved last.
    public let movedAt: Date?
    /// nil: not looked at, because too many other lanes are far apart.
    public let pending: EventCount?
    /// The age of the oldest pending event; nil where ``pending`` is.
    public let lag: Duration?
    public let retrying: Int64
    public let discarding: Int64
    public let parked: Int64
    public let waiting: Int64
}

extension HandlerStatus {
    init(_ row: PostgresRow) throws {
        name = try row.decode(String.self, named: "handler_id")
        isSQL = try row.decode(String.self, named: "kind") == "sql"
        function = try row.decode(String?.self, named: "function")
        filter = EventFilter(
            eventTypes: try row.decode([String]?.self, named: "event_types"),
            aggregateTypes: try row.decode([String]?.self, named: "aggregate_types")
        )
        lanes = try row.decode(Int.self, named: "lanes")
        state = try row.word("state")
        reason = try row.decode(String?.self, named: "state_reason")
        stateSince = try row.decode(Date.self, named: "state_since")
        registeredAt = try row.decode(Date.self, named: "registered_at")
        maxAttempts = try row.decode(Int.self, named: "max_attempts")
        parkedLimit = try row.decode(Int.self, named: "parked_limit")
        workers = try row.decode(Int.self, named: "workers")
        lanesLeased = try row.decode(Int.self, named: "lanes_leased")
        checkpoint = Position(try row.decode(Int64.self, named: "checkpoint"))
        processed = try row.decode(Int64.self, named: "processed")
        discarded = try row.decode(Int64.self, named: "discarded")
        pending = EventCount(
            events: try row.decode(Int64.self, named: "pending"),
            isExact: try row.decode(Bool.self, named: "is_exact")
        )
        lag = .seconds(try row.decode(Double.self, named: "lag"))
        retrying = try row.decode(Int64.self, named: "retrying")
        discarding = try row.decode(Int64.self, named: "discarding")
        parked = try row.decode(Int64.self, named: "parked")
        waiting = try row.decode(Int64.self, named: "waiting")
        lastError = try row.decode(String?.self, named: "last_error")
        lastFailedAt = try row.decode(Date?.self, named: "last_failed_at")
    }
}

extension LaneStatus {
    init(_ row: PostgresRow) throws {
        lane = try row.decode(Int.self, named: "lane")
        checkpoint = Position(try row.decode(Int64.self, named: "checkpoint"))
        worker = try row.decode(String?.self, named: "worker")
        leasedUntil = try row.decode(Date?.self, named: "leased_until")
        movedAt = try row.decode(Date?.self, named: "moved_at")
        let isExact = try row.decode(Bool?.self, named: "is_exact")
        pending = try row.decode(Int64?.self, named: "pending").map {
            EventCount(events: $0, isExact: isExact ?? false)
        }
        lag = try row.decode(Double?.self, named: "lag").map { .seconds($0) }
        retrying = try row.decode(Int64.self, named: "retrying")
        discarding = try row.decode(Int64.self, named: "discarding")
        parked = try row.decode(Int64.self, named: "parked")
        waiting = try row.decode(Int64.self, named: "waiting")
    }
}

extension PostgresRow {
    /// A word of a closed set.
    func word<Word: RawRepresentable<String>>(_ column: String) throws -> Word {
        try Word.known(try decode(String.self, named: column))
    }
}

extension RawRepresentable<String> {
    static func known(_ word: String) throws -> Self {
        guard let value = Self(rawValue: word) else {
            throw EventStoreError.notMigrated("the database says “\(word)”, which this version does not know")
        }
        return value
    }
}
