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
/// an event's position, or that of ``SubscriptionElement/progress(_:)``.
public struct Subscription: AsyncSequence, Sendable {
    public typealias Element = SubscriptionElement

    let pages: PageSubscription

    /// Ends the sequence in order; what is left of the page in memory is not delivered.
    public func stop() { pages.stop() }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(subscription: self, pages: pages.makeAsyncIterator())
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let subscription: Subscription
        private var pages: PageSubscription.AsyncIterator
        private var events: [RecordedEvent] = []
        private var used = 0
        /// What is to be said of the page when its events are used up, the last first.
        private var remarks: [SubscriptionElement] = []
        private var isBehind = true

        init(subscription: Subscription, pages: PageSubscription.AsyncIterator) {
            self.subscription = subscription
            self.pages = pages
        }

        public mutating func next() async throws -> SubscriptionElement? {
            while true {
                if subscription.pages.isStopped { return nil }
                if used < events.count {
                    defer { used += 1 }
                    return .event(events[used])
                }
                if let remark = remarks.popLast() { return remark }
                guard let page = try await pages.next() else { return nil }
                turn(to: page)
            }
        }

        private mutating func turn(to page: EventPage) {
            events = page.events
            used = 0
            if isBehind && page.isLast { remarks.append(.caughtUp(page.scannedTo)) }
            if page.events.last.map({ $0.position < page.scannedTo }) ?? !(isBehind && page.isLast) {
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
        Subscription(pages: subscribeToPages(from: start, matching: filter, options: options))
    }

    /// As ``subscribe(from:matching:options:)``, a page at a time.
    public func subscribeToPages(
        from start: StartingPoint,
        matching filter: EventFilter = .all,
        options: SubscriptionOptions = SubscriptionOptions()
    ) -> PageSubscription {
        PageSubscription(store: self, start: start, filter: filter, options: options)
    }
}
