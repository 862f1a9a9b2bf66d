/// How many events the next page should ask for, so that it keeps to a limit in bytes.
///
/// What the events to come weigh is not known before they are there. The first page is small, and a page is a few times
/// as large as the one before at the most, so that a log of large events shows itself before it fills the memory.
struct PageSizer: Sendable, Hashable {
    static let firstEvents = 128
    static let growth = 8

    private let bytes: Int
    private var ceiling = PageSizer.firstEvents

    init(bytes: Int) { self.bytes = bytes }

    /// The limits of the next page, within those that are wanted.
    func limits(within wanted: PageLimits) -> PageLimits {
        var limits = wanted
        limits.events = max(1, min(wanted.events, ceiling))
        return limits
    }

    mutating func note(_ page: EventPage) {
        note(events: page.events.count, bytes: page.byteCount)
    }

    /// As ``note(_:)``, of a page that is not there any more.
    mutating func note(events: Int, bytes byteCount: Int) {
        guard events > 0 else { return }
        let average = max(1, byteCount / events)
        // A page of few events says that the log had no more; it is no reason to ask for fewer the next time.
        let grown = max(ceiling, events * PageSizer.growth)
        ceiling = max(1, min(grown, bytes / average))
    }
}
