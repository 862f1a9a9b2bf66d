/// The recent pages at the head of the log, without a hole between them, for subscribers that are a little behind.
///
/// Bounded: the oldest go first, and whoever still needed them reads for itself. The newest page always stays.
struct PageWindow: Sendable {
    struct Limits: Sendable, Hashable {
        var bytes = 24 << 20
        var events = 50_000
        var pages = 4096
    }

    private let limits: Limits
    private var pages: [SharedPage] = []
    /// Those before it have left; they are taken out of the array many at a time.
    private var first = 0
    private(set) var byteCount = 0
    private(set) var eventCount = 0

    init(_ limits: Limits) { self.limits = limits }

    var pageCount: Int { pages.count - first }

    /// Where the oldest page begins; nil where there is none.
    var start: Position? { first < pages.count ? pages[first].after : nil }

    mutating func append(_ page: SharedPage) {
        precondition(pages.last.map { $0.page.scannedTo == page.after } ?? true, "a window has no holes")
        pages.append(page)
        byteCount += page.byteCount
        eventCount += page.page.events.count
        while pageCount > 1 && (byteCount > limits.bytes || eventCount > limits.events || pageCount > limits.pages) {
            byteCount -= pages[first].byteCount
            eventCount -= pages[first].page.events.count
            // Let go of its events now, not when the array is next moved.
            pages[first] = SharedPage(after: pages[first].after, page: pages[first].page.withoutEvents)
            first += 1
        }
        if first > limits.pages || first * 2 > pages.count {
            pages.removeFirst(first)
            first = 0
        }
    }

    /// The pages from the one that covers a position on, as many as a subscriber's page can need.
    func pages(after position: Position, events wanted: Int, atMost limit: Int) -> [SharedPage] {
        var low = first
        var high = pages.count
        while low < high {
            let middle = (low + high) / 2
            if pages[middle].page.scannedTo <= position { low = middle + 1 } else { high = middle }
        }
        guard low < pages.count, pages[low].covers(position) else { return [] }
        var taken = [pages[low]]
        var events = pages[low].page.events.count - pages[low].index(after: position)
        var next = low + 1
        while next < pages.count && events < wanted && taken.count < limit {
            taken.append(pages[next])
            events += pages[next].page.events.count
            next += 1
        }
        return taken
    }
}

extension EventPage {
    fileprivate var withoutEvents: EventPage {
        EventPage(events: [], scannedTo: scannedTo, isLast: isLast, epoch: epoch, horizon: horizon)
    }
}
