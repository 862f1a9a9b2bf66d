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
    /// A page that takes longer counts as a lost connection. Pages are shared among the subscriptions of a store: the longest of
    /// their timeouts counts.
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
/// Survives a restart of PostgreSQL; see ``SubscriptionOptions/outageLimit``. A page ends before an event that cannot be lifted; the one that
/// would begin with it throws ``UpcastingError``.
public struct PageSubscription: AsyncSequence, Sendable {
    public typealias Element = EventPage

    let store: EventStore
    let start: StartingPoint
    /// Of events as they are stored.
    let filter: EventFilter
    /// Of what they mean now; nil where they are handed out as they are stored.
    let wanted: EventFilter?
    let options: SubscriptionOptions
    private let stopping = Stopping()

    private final class Stopping: Sendable {
        private let flag = Atomic(false)
        var isAsked: Bool { flag.load(ordering: .acquiring) }
        func ask() { flag.store(true, ordering: .releasing) }
    }

    init(
        store: EventStore,
        start: StartingPoint,
        filter: EventFilter,
        wanted: EventFilter?,
        options: SubscriptionOptions
    ) {
        self.store = store
        self.start = start
        self.filter = filter
        self.wanted = wanted
        self.options = options
    }

    /// Ends every iteration of it in order: no further page is fetched, and a waiting consumer is woken up.
    public func stop() {
        stopping.ask()
        store.feed.dismiss(stopping)
    }

    var isStopped: Bool { stopping.isAsked }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// One run through the log, from the starting point on.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let subscription: PageSubscription
        private let place: LogFeed.Place
        private var position: Position?
        private var epoch: UUID?
        private var isCaughtUp = false
        private var isNew = true
        private var hadOutage = false

        init(_ subscription: PageSubscription) {
            self.subscription = subscription
            place = subscription.store.feed.takePlace(
                for: subscription.stopping,
                timeout: subscription.options.pageTimeout
            )
            if case .checkpoint(let checkpoint) = subscription.start { epoch = checkpoint.epoch }
        }

        public mutating func next() async throws -> EventPage? {
            var outage: ContinuousClock.Instant?
            while true {
                try Task.checkCancellation()
                if subscription.isStopped { return nil }
                let attempt = ContinuousClock.now
                do {
                    let from = try await beginning()
                    guard let answer = await answer(after: from) else { return nil }
                    switch answer {
                    case .page(let delivery):
                        if let page = try await take(delivery, after: from) { return page }
                        outage = nil
                    case .lookAgain: continue
                    case .failed(let error): throw error
                    case .stopped: return nil
                    case .cancelled: throw CancellationError()
                    }
                } catch {
                    let error = try PageSubscription.outage(error)
                    let began = outage ?? attempt
                    guard ContinuousClock.now - began < subscription.options.outageLimit else {
                        throw EventStoreError.postgres(error)
                    }
                    outage = began
                    hadOutage = true
                    _ = await place.rest()
                }
            }
        }

        private func answer(after position: Position) async -> LogFeedState.Answer? {
            if subscription.isStopped { return nil }
            return await place.next(
                LogFeedState.Wish(
                    after: position,
                    filter: subscription.filter,
                    limits: subscription.options.limits,
                    isCaughtUp: isCaughtUp,
                    isNew: isNew,
                    hadOutage: hadOutage
                )
            )
        }

        /// - Returns: nil where there is nothing to say.
        private mutating func take(_ delivery: Delivery, after before: Position) async throws -> EventPage? {
            // A standby may have taken over since the last page, unnoticed where the pool replaced an idle connection:
            // positions name the same events only within one epoch.
            if let epoch, epoch != delivery.epoch {
                throw EventStoreError.unknownEpoch(expected: epoch, actual: delivery.epoch)
            }
            var page = delivery.page(matching: subscription.filter, within: subscription.options.limits)
            if let vault = subscription.store.vault { page = try await vault.open(page) }
            if let wanted = subscription.wanted {
                page = try subscription.store.upcasters.lift(page, matching: wanted)
            }
            epoch = page.epoch
            position = page.scannedTo
            isNew = false
            hadOutage = false
            let wasCaughtUp = isCaughtUp
            isCaughtUp = page.isLast
            // The page that reaches the end is handed out even where it is empty, so that "caught up" is seen.
            return page.scannedTo != before || (page.isLast && !wasCaughtUp) ? page : nil
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

    /// The outage that an error is; throws, in the store's words, what is none.
    private static func outage(_ error: any Error) throws -> PostgresError {
        let said = (error as? PostgresError).map { EventStoreError($0) } ?? error
        switch said {
        // Whether the cancellation met it waiting or reading is chance, and the same to its consumer.
        case EventStoreError.postgres(.cancelled): throw CancellationError()
        case EventStoreError.postgres(let error) where error.isOutage: return error
        default: throw said
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
