import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension EventCheck {
    /// Pages that are checked at the same time, or wait for their turn in the report.
    static var pagesAtOnce: Int { max(2, ProcessInfo.processInfo.activeProcessorCount * 2) }
}

extension EventStore {
    /// Checks stored events with the steps and types of `check`, whatever the store's own are: one round trip a page, the pages' events
    /// on all processors.
    ///
    /// - Parameters:
    ///   - position: only those after it.
    ///   - filter: of the types they are stored under.
    ///   - progress: what was found so far, page by page.
    public func checkEvents(
        _ check: EventCheck,
        after position: Position = .start,
        matching filter: EventFilter = .all,
        limits: PageLimits = PageLimits(events: 5_000),
        progress: (EventCheckReport) throws -> Void = { _ in }
    ) async throws -> EventCheckReport {
        var report = EventCheckReport()
        report.scannedTo = position
        var reading = (position: position, isLast: false, sizer: PageSizer(bytes: limits.bytes))
        try await withThrowingTaskGroup(of: CheckedPage.self) { group in
            var line = CheckedPages()
            while !reading.isLast || line.pending > 0 {
                if !reading.isLast, line.pending < EventCheck.pagesAtOnce {
                    let limits = reading.sizer.limits(within: limits)
                    let page = try await EventStoreError.translating {
                        try await UndecodedPage.read(after: reading.position, filter, limits, timeout: nil, in: client)
                    }
                    (reading.position, reading.isLast) = (page.scannedTo, page.isLast)
                    let number = line.begin()
                    group.addTask { try CheckedPage(number, page, check) }
                    continue
                }
                guard let checked = try await group.next() else { break }
                reading.sizer.note(events: checked.report.events, bytes: checked.byteCount)
                for next in line.finish(checked) {
                    report.add(next, limit: check.problemLimit)
                    try progress(report)
                }
            }
        }
        return report
    }
}

private struct CheckedPage: Sendable {
    let number: Int
    let report: EventCheckReport
    let byteCount: Int

    init(_ number: Int, _ page: UndecodedPage, _ check: EventCheck) throws {
        let decoded = try page.decoded()
        self.number = number
        var report = check.report(on: decoded.events)
        report.scannedTo = decoded.scannedTo
        self.report = report
        byteCount = decoded.byteCount
    }
}

/// Puts what was found side by side back in order.
private struct CheckedPages {
    private var begun = 0
    private var handedOut = 0
    private var waiting: [Int: EventCheckReport] = [:]

    /// Begun and not handed out.
    var pending: Int { begun - handedOut }

    mutating func begin() -> Int {
        defer { begun += 1 }
        return begun
    }

    mutating func finish(_ page: CheckedPage) -> [EventCheckReport] {
        waiting[page.number] = page.report
        var next: [EventCheckReport] = []
        while let report = waiting.removeValue(forKey: handedOut) {
            next.append(report)
            handedOut += 1
        }
        return next
    }
}
