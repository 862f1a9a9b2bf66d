public import MillracePostgres

/// The log from a position to where it ended when the last page was read, page by page.
///
/// Pull-based: a page is fetched when the events of the one before it are used up, so memory holds one page.
public struct LogReader: AsyncSequence, Sendable {
    public typealias Element = RecordedEvent

    let store: EventStore
    let start: Position
    let filter: EventFilter
    let limits: PageLimits
    let session: (any PostgresSession)?

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self, position: start) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let reader: LogReader
        private var position: Position
        private var page = ArraySlice<RecordedEvent>()
        private var isFinished = false

        init(reader: LogReader, position: Position) {
            self.reader = reader
            self.position = position
        }

        public mutating func next() async throws -> RecordedEvent? {
            while page.isEmpty {
                if isFinished { return nil }
                try Task.checkCancellation()
                let next = try await reader.store.readPage(
                    after: position,
                    matching: reader.filter,
                    limits: reader.limits,
                    in: reader.session
                )
                position = next.scannedTo
                isFinished = next.isLast
                page = next.events[...]
            }
            return page.removeFirst()
        }
    }
}

extension EventStore {
    /// Every event after a position, in position order, up to the horizon as it is when the last page is read.
    /// For what comes afterwards too, subscribe.
    public func readAll(
        after position: Position = .start,
        matching filter: EventFilter = .all,
        limits: PageLimits = PageLimits(),
        in session: (any PostgresSession)? = nil
    ) -> LogReader {
        LogReader(store: self, start: position, filter: filter, limits: limits, session: session)
    }
}
