public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A stretch of the log: the events of it that were asked for, and how far it reached.
public struct EventPage: Sendable {
    /// In position order, as what they mean now: see ``Upcasters``.
    public let events: [RecordedEvent]
    /// The position of the last committed event looked at, whether or not it is among ``events``: the place to go
    /// on from, and the only thing to remember.
    public let scannedTo: Position
    /// Nothing more could be read when this page was: it reached the horizon.
    public let isLast: Bool
    /// The life of the store that the positions belong to; see ``Checkpoint``.
    public let epoch: UUID
    /// What bounded the read: nothing can appear at or below it any more. A bound of one read, never a position to keep.
    let horizon: Position

    /// What a consumer keeps outside of the store.
    public var checkpoint: Checkpoint { Checkpoint(epoch: epoch, position: scannedTo) }
}

/// How much one round trip reads.
public struct PageLimits: Sendable, Hashable {
    /// Stored events read at the most; ``Upcasters`` may make more or fewer of them.
    public var events: Int
    /// Events looked at in the most, so that a reader of a rare type makes progress.
    public var scanned: Int
    /// What the events of a page may take in memory, in bytes; a single larger event makes a page of its own. Readers that read
    /// page after page keep to it by the size of the events they have seen, and begin with few.
    public var bytes: Int

    public init(events: Int = 1000, scanned: Int = 10_000, bytes: Int = 4 << 20) {
        self.events = events
        self.scanned = scanned
        self.bytes = bytes
    }
}

extension EventStore {
    /// One page of the log after a position, never beyond the horizon. One round trip.
    ///
    /// Ends before an event that cannot be opened or lifted; the page that would begin with it throws ``PersonalDataError`` or ``UpcastingError``.
    ///
    /// Throws ``EventStoreError/cannotReadLog(_:hint:)`` inside a transaction whose isolation level is above
    /// read committed: its snapshot is older than the horizon, so events would be skipped.
    public func readPage(
        after position: Position,
        matching filter: EventFilter = .all,
        limits: PageLimits = PageLimits(),
        timeout: Duration? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> EventPage {
        let page = try await readStoredPage(
            after: position,
            matching: upcasters.stored(filter),
            limits: limits,
            timeout: timeout,
            in: session
        )
        return try upcasters.lift(await vault?.open(page) ?? page, matching: filter)
    }

    /// As they are stored, and as the filter finds them there.
    func readStoredPage(
        after position: Position,
        matching filter: EventFilter,
        limits: PageLimits,
        timeout: Duration? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> EventPage {
        try await EventStoreError.translating {
            try await UndecodedPage.read(after: position, filter, limits, timeout: timeout, in: session ?? client)
                .decoded()
        }
    }

    /// Where the log ends now: the position of the last committed event at or below the horizon. One round trip.
    public func lastPosition(
        timeout: Duration? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> Position {
        try await EventStoreError.translating {
            let rows = try await (session ?? client).query(Statements.lastCommitted, [], timeout: timeout)
            return Position(try rows[0].decode(Int64.self, at: 0))
        }
    }
}

/// A page as it came over the wire: where it ends is known, its events are not decoded yet, so that the next one can be asked
/// for first.
struct UndecodedPage: Sendable {
    // Where read_page's columns end and the event's begin.
    private static let pageColumns = 4

    private let rows: ArraySlice<PostgresRow>
    private let firstColumn: Int
    let scannedTo: Position
    let isLast: Bool
    private let epoch: UUID
    private let horizon: Position

    /// One round trip. Throws `PostgresError` for what PostgreSQL says.
    static func read(
        after position: Position,
        _ filter: EventFilter,
        _ limits: PageLimits,
        timeout: Duration?,
        in session: any PostgresSession
    ) async throws -> UndecodedPage {
        if filter == .all, let client = session as? PostgresClient {
            return try await readDirectly(after: position, limits, timeout: timeout, client)
        }
        let rows = try await session.query(
            Statements.readPage,
            [
                .int8(position.rawValue),
                .int4(Int32(clamping: limits.events)),
                .textArray(filter.eventTypes),
                .textArray(filter.aggregateTypes),
                .int4(Int32(clamping: limits.scanned)),
            ],
            timeout: timeout
        )
        return try UndecodedPage(rows)
    }

    /// Without a function between the table and the connection: begin_page says why. Not on a caller's connection, whose
    /// transaction would keep its settings.
    private static func readDirectly(
        after position: Position,
        _ limits: PageLimits,
        timeout: Duration?,
        _ client: PostgresClient
    ) async throws -> UndecodedPage {
        let limit = max(1, min(limits.events, limits.scanned))
        let results = try await client.pipeline(
            [
                PostgresCall(Statements.beginPage, [.int8(position.rawValue)]),
                // One more than wanted: whether it is there tells whether this was all.
                PostgresCall(Statements.pageEvents, [.int8(position.rawValue), .int8(Int64(limit) + 1)]),
            ],
            timeout: timeout
        )
        return try UndecodedPage(bounds: try results[0].single(), events: results[1], after: position, limit: limit)
    }

    private init(_ rows: PostgresRows) throws {
        guard let first = rows.first else {
            throw EventStoreError.notMigrated("read_page answered without a row")
        }
        scannedTo = Position(try first.decode(Int64.self, at: 0))
        isLast = try first.decode(Bool.self, at: 1)
        epoch = try first.decode(UUID.self, at: 2)
        horizon = Position(try first.decode(Int64.self, at: 3))
        firstColumn = UndecodedPage.pageColumns
        // A page without events is one row without an event.
        self.rows = first.isNull(at: firstColumn) ? [] : Array(rows)[...]
    }

    private init(bounds: PostgresRow, events: PostgresRows, after position: Position, limit: Int) throws {
        horizon = Position(try bounds.decode(Int64.self, at: 0))
        let upTo = Position(try bounds.decode(Int64.self, at: 1))
        epoch = try bounds.decode(UUID.self, at: 2)
        firstColumn = 0
        rows = Array(events).prefix(limit)
        let wasAll = events.count <= limit
        isLast = wasAll && upTo == horizon
        if wasAll && upTo < horizon {
            // The last position of a closed month: that of a committed event.
            scannedTo = upTo
        } else {
            scannedTo = try rows.last.map { Position(try $0.decode(Int64.self, at: 0)) } ?? position
        }
    }

    func decoded() throws -> EventPage {
        let events = try rows.map { try RecordedEvent($0, firstColumn: firstColumn) }
        return EventPage(events: events, scannedTo: scannedTo, isLast: isLast, epoch: epoch, horizon: horizon)
    }
}

extension EventPage {
    /// What its events take in memory.
    var byteCount: Int { events.reduce(0) { $0 + $1.byteCount } }
}
