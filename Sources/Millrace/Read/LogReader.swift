public import MillracePostgres

/// The log from a position to where it ended when the last page was read, page by page.
///
/// One page is fetched ahead while the events of the one before it are used, so memory holds two pages. Inside a
/// transaction of yours nothing is fetched ahead: what you ask on it in between is not kept waiting.
public struct LogReader: AsyncSequence, Sendable {
    public typealias Element = RecordedEvent

    let store: EventStore
    let start: Position
    let filter: EventFilter
    let limits: PageLimits
    let session: (any PostgresSession)?

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let reader: LogReader
        private var position: Position
        private var sizer: PageSizer
        private var events: LiftedEvents
        private var isFinished = false
        /// The page after `position`, on its way.
        private var ahead: Task<UndecodedPage, any Error>?

        init(reader: LogReader) {
            self.reader = reader
            position = reader.start
            events = LiftedEvents(reader.store.upcasters, matching: reader.filter)
            sizer = PageSizer(bytes: reader.limits.bytes)
        }

        public mutating func next() async throws -> RecordedEvent? {
            while true {
                if let event = try events.next() { return event }
                if isFinished { return nil }
                try await turn()
            }
        }

        private mutating func turn() async throws {
            try Task.checkCancellation()
            // A failure is thrown once: who goes on afterwards asks PostgreSQL again.
            let fetching = ahead
            ahead = nil
            let page = if let fetching { try await fetching.valueUnlessCancelled() } else { try await fetch() }
            let before = position
            position = page.scannedTo
            // Asked for before this one is decoded: PostgreSQL and this process work at the same time.
            if !page.isLast && reader.session == nil { ahead = fetchAhead() }
            let decoded = try page.decoded()
            sizer.note(decoded)
            do {
                let opened = try await reader.store.opened(decoded.events)
                events.take(opened.events, then: opened.failure)
            } catch {
                // Its keys could not be had: it is asked for again.
                position = before
                ahead = nil
                throw error
            }
            isFinished = page.isLast
        }

        private func fetch() async throws -> UndecodedPage {
            try await reader.page(after: position, within: sizer.limits(within: reader.limits))
        }

        /// Nobody ends it when its reader is abandoned: it is a single page, and ending it would cost its connection.
        private func fetchAhead() -> Task<UndecodedPage, any Error> {
            let (reader, position, limits) = (reader, position, sizer.limits(within: reader.limits))
            return Task { try await reader.page(after: position, within: limits) }
        }
    }

    private func page(after position: Position, within limits: PageLimits) async throws -> UndecodedPage {
        try await EventStoreError.translating {
            try await UndecodedPage.read(
                after: position,
                store.upcasters.stored(filter),
                limits,
                timeout: nil,
                in: session ?? store.client
            )
        }
    }
}

extension Task where Failure == any Error {
    /// The task's value; where the caller is cancelled, so is the task.
    fileprivate func valueUnlessCancelled() async throws -> Success {
        try await withTaskCancellationHandler {
            try await value
        } onCancel: {
            cancel()
        }
    }
}

extension EventStore {
    /// Every event after a position, in position order, up to the horizon as it is when the last page is read.
    /// For what comes afterwards too, subscribe. Throws ``UpcastingError`` at an event that cannot be lifted.
    public func readAll(
        after position: Position = .start,
        matching filter: EventFilter = .all,
        limits: PageLimits = PageLimits(),
        in session: (any PostgresSession)? = nil
    ) -> LogReader {
        LogReader(store: self, start: position, filter: filter, limits: limits, session: session)
    }
}
