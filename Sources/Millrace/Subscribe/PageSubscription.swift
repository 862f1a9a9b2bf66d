import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How a subscription reads.
public struct SubscriptionOptions: Sendable {
    public var limits: PageLimits
    /// How long a subscription goes on trying when PostgreSQL cannot be reached, before it throws. It tries again at the
    /// beat at which it looks for new events: 20 ms after the loss, then less and less often, down to once a second.
    public var outageLimit: Duration
    /// A page that takes longer counts as a lost connection.
    public var pageTimeout: Duration

    public init(
        limits: PageLimits = PageLimits(),
        outageLimit: Duration = .seconds(300),
        pageTimeout: Duration = .seconds(30)
    ) {
        self.limits = limits
        self.outageLimit = outageLimit
        self.pageTimeout = pageTimeout
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
    private let stopping = Stopping()

    private final class Stopping: Sendable {
        private let flag = Atomic(false)
        var isAsked: Bool { flag.load(ordering: .acquiring) }
        func ask() { flag.store(true, ordering: .releasing) }
    }

    init(store: EventStore, start: StartingPoint, filter: EventFilter, options: SubscriptionOptions) {
        self.store = store
        self.start = start
        self.filter = filter
        self.options = options
    }

    /// Ends every iteration of it in order: no further page is fetched, and a waiting consumer is woken up.
    public func stop() {
        stopping.ask()
        store.watcher.dismiss(stopping)
    }

    var isStopped: Bool { stopping.isAsked }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// One run through the log, from the starting point on.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let subscription: PageSubscription
        private let place: LogWatcher.Place
        private var hints: AsyncStream<Void>.Iterator
        private var position: Position?
        private var epoch: UUID?
        private var isCaughtUp = false

        init(_ subscription: PageSubscription) {
            self.subscription = subscription
            place = subscription.store.watcher.takePlace(for: subscription.stopping)
            hints = place.hints.makeAsyncIterator()
            if case .checkpoint(let checkpoint) = subscription.start { epoch = checkpoint.epoch }
        }

        public mutating func next() async throws -> EventPage? {
            while true {
                if isCaughtUp, try await !isWoken() { return nil }
                try Task.checkCancellation()
                let before = position
                guard let page = try await fetch() else { return nil }
                let wasCaughtUp = isCaughtUp
                isCaughtUp = page.isLast
                // The page that reaches the end is handed out even where it is empty, so that "caught up" is seen.
                if page.scannedTo != before || !wasCaughtUp { return page }
            }
        }

        /// - Returns: false where the subscription was stopped.
        private mutating func isWoken() async throws -> Bool {
            guard await hints.next(isolation: #isolation) != nil else {
                try Task.checkCancellation()
                return false
            }
            return true
        }

        /// - Returns: nil where the subscription was stopped.
        private mutating func fetch() async throws -> EventPage? {
            let firstTry = ContinuousClock.now
            while true {
                if subscription.isStopped { return nil }
                do {
                    return try await fetchOnce()
                } catch EventStoreError.postgres(.cancelled) {
                    // Whether the cancellation met it waiting or reading is chance, and the same to its consumer.
                    throw CancellationError()
                } catch EventStoreError.postgres(let error) where error.isOutage {
                    let outage = ContinuousClock.now - firstTry
                    guard outage < subscription.options.outageLimit else { throw EventStoreError.postgres(error) }
                    if try await !isWoken() { return nil }
                }
            }
        }

        private mutating func fetchOnce() async throws -> EventPage {
            let from = try await beginning()
            let page = try await subscription.store.readPage(
                after: from,
                matching: subscription.filter,
                limits: subscription.options.limits,
                timeout: subscription.options.pageTimeout
            )
            // A standby may have taken over since the last page, unnoticed where the pool replaced an idle connection:
            // positions name the same events only within one epoch.
            if let epoch, epoch != page.epoch {
                throw EventStoreError.unknownEpoch(expected: epoch, actual: page.epoch)
            }
            epoch = page.epoch
            position = page.scannedTo
            return page
        }

        private mutating func beginning() async throws -> Position {
            if let position { return position }
            let from: Position
            switch subscription.start {
            case .start: from = .start
            case .end:
                from = try await subscription.store.lastPosition(timeout: subscription.options.pageTimeout)
            case .after(let given): from = given
            case .checkpoint(let checkpoint): from = checkpoint.position
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
        case .connectionLost, .outcomeUnknown, .acquireTimedOut, .timedOut: true
        case .cannotConnect(let failure):
            failure.sqlState.map { [.cannotConnectNow, .tooManyConnections].contains($0) } ?? true
        case .server(let error):
            [.adminShutdown, .crashShutdown, .cannotConnectNow, .tooManyConnections].contains(error.sqlState)
        case .cancelled, .poolExhausted, .clientClosed, .decoding, .misuse: false
        }
    }
}
