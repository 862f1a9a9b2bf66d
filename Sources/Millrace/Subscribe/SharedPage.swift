#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A stretch of the log without a filter: every committed event after one position up to another. It is true for ever, since
/// nothing can appear below the horizon it was read up to; so it can be handed to whoever stands within it.
struct SharedPage: Sendable {
    let after: Position
    let page: EventPage
    let byteCount: Int

    init(after: Position, page: EventPage) {
        self.after = after
        self.page = page
        byteCount = page.byteCount
    }

    func covers(_ position: Position) -> Bool { after <= position && position < page.scannedTo }

    /// The first event after a position.
    func index(after position: Position) -> Int {
        if position <= after { return 0 }
        var low = 0
        var high = page.events.count
        while low < high {
            let middle = (low + high) / 2
            if page.events[middle].position <= position { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// What a subscriber gets from its feed; it cuts its own page out of it, in its own task.
struct Delivery: Sendable {
    /// Without a hole between them, the first one covering ``after``; none where there is nothing new.
    var pages: [SharedPage]
    var after: Position
    /// A page that PostgreSQL filtered for this subscriber.
    var filtered: EventPage?
    /// The end of the pages is the end of the log as a read found it that began after the subscriber had come.
    var isLast: Bool
    let horizon: Position
    let epoch: UUID

    /// The subscriber's page: its filter, its limits.
    func page(matching filter: EventFilter, within limits: PageLimits) -> EventPage {
        if let filtered {
            return EventPage(
                events: filtered.events,
                scannedTo: filtered.scannedTo,
                isLast: isLast,
                epoch: epoch,
                horizon: horizon
            )
        }
        if let whole = pages.first, pages.count == 1, whole.after == after, filter.wantsEverything,
            whole.page.events.count <= min(limits.events, limits.scanned), whole.byteCount <= limits.bytes
        {
            return page(whole.page.events, scannedTo: whole.page.scannedTo)
        }
        return cut(filter, limits)
    }

    private func cut(_ filter: EventFilter, _ limits: PageLimits) -> EventPage {
        var events: [RecordedEvent] = []
        var scanned = 0
        var bytes = 0
        var scannedTo = after
        for shared in pages {
            for index in shared.index(after: after)..<shared.page.events.count {
                let event = shared.page.events[index]
                if filter.wants(event) {
                    bytes += event.byteCount
                    if bytes > limits.bytes && !events.isEmpty { return page(events, scannedTo: scannedTo) }
                    events.append(event)
                }
                scanned += 1
                scannedTo = event.position
                if events.count >= limits.events || scanned >= limits.scanned {
                    return page(events, scannedTo: scannedTo)
                }
            }
            scannedTo = max(scannedTo, shared.page.scannedTo)
        }
        return page(events, scannedTo: scannedTo)
    }

    private func page(_ events: [RecordedEvent], scannedTo: Position) -> EventPage {
        let end = pages.last?.page.scannedTo ?? after
        return EventPage(
            events: events,
            scannedTo: scannedTo,
            isLast: isLast && scannedTo >= end,
            epoch: epoch,
            horizon: horizon
        )
    }
}
