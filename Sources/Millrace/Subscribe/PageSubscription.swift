import Logging
public import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How a subscription reads.
public struct SubscriptionOptions: Sendable {
    public var limits: PageLimits
    /// How long a subscription goes on trying when PostgreSQL cannot be reached, before it throws.
    public var outageLimit: Duration
    /// How long it waits between those tries.
    public var backoff: PostgresBackoff

    public init(
        limits: PageLimits = PageLimits(),
        outageLimit: Duration = .seconds(300),
        backoff: PostgresBackoff = PostgresBackoff()
    ) {
        self.limits = limits
        self.outageLimit = outageLimit
        self.backoff = backoff
    }
}

/// The log from a starting point on, for ever, a page at a time: for consumers that work in batches.
///
/// Catches up, then waits for more. A page may have no events: it then says how far was looked, and is worth a
/// checkpoint. Ends when its task is cancelled (with `CancellationError`) or after ``PageSubscription/stop()``.
/// Survives a restart of PostgreSQL; see ``SubscriptionOptions/outageLimit``.
public struct PageSubscription: AsyncSequence, Sendable {
    public typealias Element = EventPage

    let store: EventStore
    let start: StartingPoint
    let filter: EventFilter
    let options: SubscriptionOptions
    private let place: LogWatcher.Place

    init(store: EventStore, start: StartingPoint, filter: EventFilter, options: SubscriptionOptions) {
        self.store = store
        self.start = start
        self.filter = filter
        self.options = options
        place = store.watcher.takePlace()
    }

    /// Ends the sequence in order: no further page is fetched, and a waiting consumer is woken up.
    public func stop() { place.leave() }

    var isStopped: Bool { place.hasLeft }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let subscription: PageSubscription
        private var hints: AsyncStream<Void>.Iterator
        private var position: Position?
        private var epoch: UUID?
        private var isCaughtUp = false

        init(_ subscription: PageSubscription) {
            self.subscription = subscription
            hints = subscription.place.hints.makeAsyncIterator()
        }

        public mutating func next() async throws -> EventPage? {
            while true {
                if isCaughtUp {
                    guard await hints.next(isolation: #isolation) != nil else {
                        try Task.checkCancellation()
                        return nil
                    }
                } else if subscription.isStopped {
                    return nil
                }
                try Task.checkCancellation()
                let before = position
                let page = try await fetch()
                let wasCaughtUp = isCaughtUp
                isCaughtUp = page.isLast
                // The page that reaches the end is handed out even where it is empty, so that "caught up" is seen.
                if page.scannedTo != before || !wasCaughtUp { return page }
            }
        }

        private mutating func fetch() async throws -> EventPage {
            let firstTry = ContinuousClock.now
            var failures = 0
            while true {
                do {
                    let from = try await beginning(reconnected: failures > 0)
                    let page = try await subscription.store.readPage(
                        after: from,
                        matching: subscription.filter,
                        limits: subscription.options.limits
                    )
                    position = page.scannedTo
                    return page
                } catch EventStoreError.postgres(.cancelled) {
                    // Whether the cancellation met it waiting or reading is chance, and the same to its consumer.
                    throw CancellationError()
                } catch EventStoreError.postgres(let error) where error.isOutage {
                    let outage = ContinuousClock.now - firstTry
                    guard outage < subscription.options.outageLimit else { throw EventStoreError.postgres(error) }
                    failures += 1
                    try await Task.sleep(for: subscription.options.backoff.delay(afterFailure: failures))
                }
            }
        }

        // Positions name the same events only within one epoch: looked up at the beginning and whenever the
        // connection was lost, because a standby may have taken over meanwhile.
        private mutating func beginning(reconnected: Bool) async throws -> Position {
            if let position, !reconnected { return position }
            let store = subscription.store
            let actual = try await store.epoch()
            if let epoch, epoch != actual { throw EventStoreError.unknownEpoch(expected: epoch, actual: actual) }
            epoch = actual
            if let position { return position }
            let from: Position
            switch subscription.start {
            case .start: from = .start
            case .end: from = try await store.lastPosition()
            case .after(let given): from = given
            case .checkpoint(let checkpoint):
                guard checkpoint.epoch == actual else {
                    throw EventStoreError.unknownEpoch(expected: checkpoint.epoch, actual: actual)
                }
                from = checkpoint.position
            }
            position = from
            return from
        }
    }
}

extension PostgresError {
    /// The server cannot be reached just now, and what was asked for was only reading.
    var isOutage: Bool {
        switch self {
        case .connectionLost, .outcomeUnknown, .acquireTimedOut: true
        case .cannotConnect(let failure):
            failure.sqlState.map { [.cannotConnectNow, .tooManyConnections].contains($0) } ?? true
        case .server(let error):
            [.adminShutdown, .crashShutdown, .cannotConnectNow, .tooManyConnections].contains(error.sqlState)
        case .cancelled, .timedOut, .poolExhausted, .clientClosed, .decoding, .misuse: false
        }
    }
}
