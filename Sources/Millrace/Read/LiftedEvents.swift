/// Stored events, one after the other, as what they mean now.
struct LiftedEvents {
    private let upcasters: Upcasters
    private let filter: EventFilter
    private let direction: ReadDirection
    private var events: [RecordedEvent] = []
    private var used = 0
    /// Of the event behind them.
    private var failure: (any Error)?
    /// Of the stored event before ``used``.
    private var parts: [RecordedEvent] = []
    private var usedParts = 0

    /// - Parameter filter: of what comes of them.
    init(_ upcasters: Upcasters, matching filter: EventFilter = .all, direction: ReadDirection = .forwards) {
        self.upcasters = upcasters
        self.filter = filter
        self.direction = direction
    }

    /// Goes on with others; those that are there have been used up.
    /// - Parameter failure: thrown when they are used up, as often as it is asked.
    mutating func take(_ events: [RecordedEvent], then failure: (any Error)? = nil) {
        self.events = events
        self.failure = failure
        used = 0
    }

    /// nil where they are used up. An event that cannot be lifted stays the next one.
    mutating func next() throws -> RecordedEvent? {
        while true {
            if usedParts < parts.count {
                defer { usedParts += 1 }
                return parts[usedParts]
            }
            guard used < events.count else {
                if let failure { throw failure }
                return nil
            }
            let event = events[used]
            guard upcasters.concerns(event) else {
                used += 1
                return event
            }
            let lifted = try upcasters.lift(event, matching: filter)
            parts = direction == .forwards ? lifted : lifted.reversed()
            usedParts = 0
            used += 1
        }
    }
}

extension Upcasters {
    /// A page of stored events as what they mean now. It ends before the event that cannot be lifted; where that is the first, its error is thrown.
    func lift(_ page: EventPage, matching filter: EventFilter) throws -> EventPage {
        guard !isEmpty, page.events.contains(where: concerns) else { return page }
        var events: [RecordedEvent] = []
        events.reserveCapacity(page.events.count)
        for (index, event) in page.events.enumerated() {
            guard concerns(event) else {
                events.append(event)
                continue
            }
            do {
                events += try lift(event, matching: filter)
            } catch  where index > 0 {
                // Said when the next page is asked for, which begins with it.
                return page.holding(events, upTo: page.events[index - 1].position, isLast: false)
            }
        }
        return page.holding(events, upTo: page.scannedTo, isLast: page.isLast)
    }
}

extension EventPage {
    func holding(_ events: [RecordedEvent], upTo position: Position, isLast: Bool) -> EventPage {
        EventPage(events: events, scannedTo: position, isLast: isLast, epoch: epoch, horizon: horizon)
    }
}
