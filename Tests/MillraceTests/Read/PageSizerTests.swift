import Foundation
import Testing

@testable import Millrace

struct PageSizerTests {
    private static func page(_ count: Int, of bytes: Int) -> EventPage {
        let event = RecordedEvent(
            position: Position(1),
            type: "t",
            stream: StreamID("a", "1"),
            version: 1,
            data: JSON(utf8: [UInt8](repeating: 0x20, count: bytes))
        )
        return EventPage(
            events: Array(repeating: event, count: count),
            scannedTo: Position(1),
            isLast: false,
            epoch: UUID(),
            horizon: Position(1)
        )
    }

    private static let wanted = PageLimits(events: 1000, scanned: 10_000, bytes: 4 << 20)

    @Test func beginsSmallAndReachesWhatIsWanted() {
        var sizer = PageSizer(bytes: Self.wanted.bytes)
        #expect(sizer.limits(within: Self.wanted).events == PageSizer.firstEvents)
        sizer.note(Self.page(PageSizer.firstEvents, of: 300))
        #expect(sizer.limits(within: Self.wanted).events == 1000)
        #expect(sizer.limits(within: PageLimits(events: 7)).events == 7)
    }

    @Test func largeEventsMakeSmallPages() {
        var sizer = PageSizer(bytes: Self.wanted.bytes)
        sizer.note(Self.page(1000, of: 300))
        sizer.note(Self.page(10, of: 1 << 20))
        #expect(sizer.limits(within: Self.wanted).events == 3)
        sizer.note(Self.page(1, of: 8 << 20))
        #expect(sizer.limits(within: Self.wanted).events == 1)
        sizer.note(Self.page(1, of: 300))
        #expect(sizer.limits(within: Self.wanted).events == PageSizer.growth)
    }

    @Test func aPageOfFewEventsIsNoReasonToAskForFewer() {
        var sizer = PageSizer(bytes: Self.wanted.bytes)
        sizer.note(Self.page(1000, of: 300))
        sizer.note(Self.page(1, of: 300))
        #expect(sizer.limits(within: Self.wanted).events == 1000)
    }
}
