import Foundation
import Testing

@testable import Millrace

/// How a subscriber cuts its page out of what everyone shares.
struct DeliveryTests {
    private static func event(_ position: Int64, _ type: String = "t", bytes: Int = 10) -> RecordedEvent {
        RecordedEvent(
            position: Position(position),
            type: type,
            stream: StreamID("a", "1"),
            version: Int(position),
            data: JSON(utf8: [UInt8](repeating: 0x20, count: bytes))
        )
    }

    private static let epoch = UUID()

    private static func delivery(_ pages: [[RecordedEvent]], after: Int64, from start: Int64) -> Delivery {
        var start = Position(start)
        let shared = pages.map { events in
            let end = events.last?.position ?? start
            defer { start = end }
            let page = EventPage(events: events, scannedTo: end, isLast: true, epoch: epoch, horizon: end)
            return SharedPage(after: start, page: page)
        }
        return Delivery(pages: shared, after: Position(after), isLast: true, horizon: start, epoch: epoch)
    }

    @Test func beginsBehindItsOwnPosition() {
        let pages = [[1, 2, 3], [5, 8]].map { $0.map { Self.event($0) } }
        let page = Self.delivery(pages, after: 2, from: 0).page(matching: .all, within: PageLimits())
        #expect(page.events.map(\.version) == [3, 5, 8])
        #expect(page.scannedTo == Position(8) && page.isLast)
    }

    @Test func endsAtEachOfItsLimitsWithThePositionOfAnEvent() {
        let pages = [[1, 2, 3], [5, 8]].map { $0.map { Self.event($0, $0 % 2 == 0 ? "even" : "odd") } }
        let delivery = Self.delivery(pages, after: 0, from: 0)
        let few = delivery.page(matching: .all, within: PageLimits(events: 2))
        #expect(few.events.map(\.version) == [1, 2] && few.scannedTo == Position(2) && !few.isLast)
        let scanned = delivery.page(matching: .eventTypes("even"), within: PageLimits(events: 10, scanned: 4))
        #expect(scanned.events.map(\.version) == [2] && scanned.scannedTo == Position(5) && !scanned.isLast)
        let none = delivery.page(matching: EventFilter(eventTypes: []), within: PageLimits())
        #expect(none.events.isEmpty && none.scannedTo == Position(8) && none.isLast)
        let exact = delivery.page(matching: .all, within: PageLimits(events: 5, scanned: 5))
        #expect(exact.events.count == 5 && exact.isLast)
    }

    @Test func largeEventsEndItAtItsBytesButOneAlwaysFits() {
        let pages = [(1...4).map { Self.event($0, bytes: 1000) }]
        let delivery = Self.delivery(pages, after: 0, from: 0)
        let two = delivery.page(matching: .all, within: PageLimits(bytes: 2 * pages[0][0].byteCount))
        #expect(two.events.map(\.version) == [1, 2] && two.scannedTo == Position(2) && !two.isLast)
        let one = delivery.page(matching: .all, within: PageLimits(bytes: 1))
        #expect(one.events.map(\.version) == [1] && one.scannedTo == Position(1))
    }

    /// Where PostgreSQL filters and where memory does, the same names are the same.
    @Test func namesAreComparedByteByByte() {
        let composed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        #expect(composed == decomposed, "equal to Swift, two names to PostgreSQL")
        let event = Self.event(1, composed)
        #expect(EventFilter.eventTypes("other", composed).wants(event))
        #expect(!EventFilter.eventTypes(decomposed).wants(event))
        #expect(!EventFilter.eventTypes("caf").wants(event))
        #expect(EventFilter(eventTypes: [composed], aggregateTypes: ["a"]).wants(event))
        #expect(!EventFilter(eventTypes: [composed], aggregateTypes: ["1"]).wants(event))
        #expect(!EventFilter(eventTypes: []).wants(event))
    }
}
