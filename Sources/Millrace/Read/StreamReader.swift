public import MillracePostgres

/// Which way a stream is read.
public enum ReadDirection: Sendable, Hashable {
    case forwards
    case backwards
}

/// The events of one stream, page by page, in version order or against it.
public struct StreamReader: AsyncSequence, Sendable {
    public typealias Element = RecordedEvent

    /// Events a round trip at the most.
    public static let pageSize = 1000

    let store: EventStore
    let stream: StreamID
    let direction: ReadDirection
    let first: Int?
    let last: Int?
    let session: (any PostgresSession)?

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let reader: StreamReader
        private var next: Int?
        private var events: LiftedEvents
        private var isFinished = false

        init(reader: StreamReader) {
            self.reader = reader
            next = reader.first
            events = LiftedEvents(reader.store.upcasters, direction: reader.direction)
        }

        public mutating func next() async throws -> RecordedEvent? {
            while true {
                if let event = try events.next() { return event }
                if isFinished { return nil }
                try await fetch()
            }
        }

        private mutating func fetch() async throws {
            try Task.checkCancellation()
            let page = try await reader.store.readStreamPage(
                reader.stream,
                from: next,
                through: reader.last,
                direction: reader.direction,
                limit: StreamReader.pageSize,
                in: reader.session
            )
            let opened = try await reader.store.opened(page)
            events.take(opened.events, then: opened.failure)
            guard page.count == StreamReader.pageSize, let version = page.last?.version else {
                isFinished = true
                return
            }
            next = reader.direction == .forwards ? version + 1 : version - 1
        }
    }
}

extension EventStore {
    /// The events of a stream, forwards from version 1 or backwards from the newest unless told otherwise.
    ///
    /// As what they mean now, so that a version may be there several times, or not at all; backwards is the same the other way round. Throws
    /// ``UpcastingError`` at an event that cannot be lifted.
    ///
    /// A stream that has no events gives none. One round trip for each ``StreamReader/pageSize`` events.
    /// - Parameters:
    ///   - first: the version to begin with; nil: 1 forwards, the newest backwards.
    ///   - last: the version to end with, included; nil: the other end of the stream.
    public func readStream(
        _ stream: StreamID,
        from first: Int? = nil,
        through last: Int? = nil,
        direction: ReadDirection = .forwards,
        in session: (any PostgresSession)? = nil
    ) -> StreamReader {
        StreamReader(store: self, stream: stream, direction: direction, first: first, last: last, session: session)
    }

    /// As they are stored.
    func readStreamPage(
        _ stream: StreamID,
        from version: Int?,
        through last: Int?,
        direction: ReadDirection,
        limit: Int,
        in session: (any PostgresSession)?
    ) async throws -> [RecordedEvent] {
        let backwards = direction == .backwards
        return try await EventStoreError.translating {
            let rows = try await (session ?? client).query(
                Statements.readStream,
                [
                    .text(stream.aggregateType),
                    .text(stream.aggregateID),
                    .int4(version.map { Int32(clamping: $0) } ?? (backwards ? Int32.max : 1)),
                    .int4(Int32(clamping: limit)),
                    .bool(backwards),
                    .int4(last.map { Int32(clamping: $0) }),
                ]
            )
            return try rows.map { try RecordedEvent($0, firstColumn: 0) }
        }
    }
}
