/// What a subscription tells its consumer.
public enum SubscriptionElement: Sendable {
    case event(RecordedEvent)
    /// Events up to here were looked at and none of them was wanted: a position worth keeping.
    case progress(Position)
    /// The log has no more for now; what follows is live. Said again after the subscription fell behind by more
    /// than a page and caught up.
    case caughtUp(Position)
}

/// The log from a starting point on, for ever, an event at a time: catch up, a marker, then live.
///
/// Every event once, in position order, none skipped. What has been processed is the consumer's to remember:
/// an event's position where it ``RecordedEvent/isLastPart``, or that of ``SubscriptionElement/progress(_:)``. At an event that cannot be
/// lifted it throws ``UpcastingError``.
public struct Subscription: AsyncSequence, Sendable {
    public typealias Element = SubscriptionElement

    /// Of events as they are stored.
    let pages: PageSubscription
    let wanted: EventFilter

    /// Ends the sequence in order; what is left of the page in memory is not delivered.
    public func stop() { pages.stop() }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(subscription: self, pages: pages.makeAsyncIterator())
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let subscription: Subscription
        private var pages: PageSubscription.AsyncIterator
        private var events: LiftedEvents
        /// Up to where the page in hand was looked at, what of it was handed out last, and whether that is all there is.
        private var page: (scannedTo: Position, isLast: Bool)?
        private var delivered: Position?
        /// What is to be said of the page when its events are used up, the last first.
        private var remarks: [SubscriptionElement] = []
        private var isBehind = true

        init(subscription: Subscription, pages: PageSubscription.AsyncIterator) {
            self.subscription = subscription
            self.pages = pages
            events = LiftedEvents(subscription.pages.store.upcasters, matching: subscription.wanted)
        }

        public mutating func next() async throws -> SubscriptionElement? {
            while true {
                if subscription.pages.isStopped { return nil }
                if let event = try events.next() {
                    delivered = event.position
                    return .event(event)
                }
                finishPage()
                if let remark = remarks.popLast() { return remark }
                guard let page = try await pages.next() else { return nil }
                events.take(page.events)
                delivered = nil
                self.page = (page.scannedTo, page.isLast)
            }
        }

        /// What was dropped, or not wanted, is only known when the page is used up.
        private mutating func finishPage() {
            guard let page else { return }
            self.page = nil
            if isBehind && page.isLast { remarks.append(.caughtUp(page.scannedTo)) }
            if delivered.map({ $0 < page.scannedTo }) ?? !(isBehind && page.isLast) {
                remarks.append(.progress(page.scannedTo))
            }
            isBehind = !page.isLast
        }
    }
}

extension EventStore {
    /// Follows the log from a starting point on, for ever.
    ///
    ///     for try await element in store.subscribe(from: .start, matching: .eventTypes("order.created")) {
    ///         switch element {
    ///         case .event(let event): try await handle(event)
    ///         case .progress(let position), .caughtUp(let position): try await keep(position)
    ///         }
    ///     }
    ///
    /// Cancelling the task ends it with `CancellationError`; ``Subscription/stop()`` ends it in order.
    public func subscribe(
        from start: StartingPoint,
        matching filter: EventFilter = .all,
        options: SubscriptionOptions = SubscriptionOptions()
    ) -> Subscription {
        Subscription(
            pages: subscribeToStoredPages(from: start, matching: upcasters.stored(filter), options),
            wanted: filter
        )
    }

    /// As ``subscribe(from:matching:options:)``, a page at a time.
    public func subscribeToPages(
        from start: StartingPoint,
        matching filter: EventFilter = .all,
        options: SubscriptionOptions = SubscriptionOptions()
    ) -> PageSubscription {
        PageSubscription(
            store: self,
            start: start,
            filter: upcasters.stored(filter),
            wanted: filter,
            options: options
        )
    }

    /// As they are stored, and as the filter finds them there.
    func subscribeToStoredPages(
        from start: StartingPoint,
        matching filter: EventFilter,
        _ options: SubscriptionOptions = SubscriptionOptions()
    ) -> PageSubscription {
        PageSubscription(store: self, start: start, filter: filter, wanted: nil, options: options)
    }
}
