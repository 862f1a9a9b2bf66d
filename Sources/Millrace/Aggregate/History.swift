public import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An event of an aggregate, and what it did to the state.
public struct HistoryEntry: Sendable, Hashable {
    /// As it is stored; what is personal in it is open where the store has ``PersonalData``. The states are made by the database, and have it encrypted.
    public let event: RecordedEvent
    /// The state that the event found; nil where there was none.
    public let before: JSON?
    /// The state after it; nil where the reducer says that there is none any more.
    public let after: JSON?
    /// Where the two differ, in the order of the paths.
    public let differences: [StateDifference]
}

/// A place at which two states differ.
public struct StateDifference: Sendable, Hashable {
    /// Where: `customer.address[2].city`. A key that would be misread stands in brackets and quotes: `customer["first name"]`. Empty where
    /// the whole state is another one.
    public let path: String
    /// nil where the place is new.
    public let before: JSON?
    /// nil where the place is gone.
    public let after: JSON?
}

/// The events of one aggregate in version order, each with the state before and after it, page by page.
public struct AggregateHistory: AsyncSequence, Sendable {
    public typealias Element = HistoryEntry

    /// Events a round trip at the most: fewer than a stream's, because each comes with two states.
    public static let pageSize = 100

    let store: EventStore
    let stream: StreamID
    let first: Int
    let end: PointInTime
    let session: (any PostgresSession)?

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(history: self) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let history: AggregateHistory
        private var last: HistoryEntry?
        private var page = ArraySlice<HistoryEntry>()
        private var isFinished = false

        init(history: AggregateHistory) { self.history = history }

        public mutating func next() async throws -> HistoryEntry? {
            if page.isEmpty && !isFinished {
                try Task.checkCancellation()
                let entries = try await history.page(after: last)
                last = entries.last
                isFinished = entries.count < AggregateHistory.pageSize
                page = entries[...]
            }
            return page.popFirst()
        }
    }

    private func page(after last: HistoryEntry?) async throws -> [HistoryEntry] {
        let bounds = end.bounds
        return try await EventStoreError.translating {
            let rows = try await (session ?? store.client).query(
                Statements.historyPage,
                [
                    .text(stream.aggregateType),
                    .text(stream.aggregateID),
                    .int4(Int32(clamping: last?.event.version ?? first - 1)),
                    .bool(last != nil),
                    .jsonb(last?.after?.utf8),
                    .int4(bounds.version),
                    .int4(Int32(AggregateHistory.pageSize)),
                    .timestamptz(bounds.time),
                ]
            )
            let stored = try rows.map { try RecordedEvent($0, firstColumn: 0) }
            let events = try await store.vault?.openAll(stored) ?? stored
            return try zip(rows, events).map { try HistoryEntry($0, $1) }
        }
    }
}

extension EventStore {
    /// How an aggregate came to its state: each event with the state before and after it, as ``rebuild(_:asOf:in:)`` makes it.
    ///
    /// A stream that has no events gives none. One round trip for each ``AggregateHistory/pageSize`` events; nothing is folded twice, but
    /// what lies before `first`. Throws as ``rebuild(_:asOf:in:)``.
    /// - Parameters:
    ///   - first: the version to begin with.
    ///   - point: which past it ends with; a time leaves out what happened later.
    public func history(
        of stream: StreamID,
        from first: Int = 1,
        asOf point: PointInTime = .now,
        in session: (any PostgresSession)? = nil
    ) -> AggregateHistory {
        AggregateHistory(store: self, stream: stream, first: Swift.max(first, 1), end: point, session: session)
    }
}

extension HistoryEntry {
    private static let eventColumns = 12

    fileprivate init(_ row: PostgresRow, _ event: RecordedEvent) throws {
        let first = HistoryEntry.eventColumns
        self.event = event
        before = try row.decode([UInt8]?.self, at: first).map { JSON(utf8: $0) }
        after = try row.decode([UInt8]?.self, at: first + 1).map { JSON(utf8: $0) }
        let paths = try row.decode([String].self, at: first + 2)
        let befores = try row.decode([[UInt8]?].self, at: first + 3)
        let afters = try row.decode([[UInt8]?].self, at: first + 4)
        differences = zip(paths, zip(befores, afters)).map { path, values in
            StateDifference(
                path: path,
                before: values.0.map { JSON(utf8: $0) },
                after: values.1.map { JSON(utf8: $0) }
            )
        }
    }
}
