import Foundation
import Logging
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

@testable import Millrace

/// Promise: whatever way events are read, the same steps make the same events of the same history.
@Suite(.timeLimit(.minutes(15)))
struct OldEventsKeepTheirMeaningTests {
    /// One way to read the whole log.
    struct Way: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let read: @Sendable (EventStore, EventFilter) async throws -> [RecordedEvent]

        init(_ name: String, _ read: @escaping @Sendable (EventStore, EventFilter) async throws -> [RecordedEvent]) {
            testDescription = name
            self.read = read
        }

        static let small = PageLimits(events: 3, scanned: 5)

        static let ways = [
            Way("readPage") { store, filter in
                var events: [RecordedEvent] = []
                var position = Position.start
                while true {
                    let page = try await store.readPage(after: position, matching: filter, limits: small)
                    events += page.events
                    position = page.scannedTo
                    if page.isLast { return events }
                }
            },
            Way("readAll") { store, filter in
                var events: [RecordedEvent] = []
                for try await event in store.readAll(matching: filter, limits: small) { events.append(event) }
                return events
            },
            Way("readAll in a transaction") { store, filter in
                try await store.client.withTransaction { transaction in
                    var events: [RecordedEvent] = []
                    for try await event in store.readAll(matching: filter, in: transaction) { events.append(event) }
                    return events
                }
            },
            Way("subscribe") { store, filter in
                var events: [RecordedEvent] = []
                let options = SubscriptionOptions(limits: small)
                for try await element in store.subscribe(from: .start, matching: filter, options: options) {
                    switch element {
                    case .event(let event): events.append(event)
                    case .progress: continue
                    case .caughtUp: return events
                    }
                }
                return events
            },
            Way("subscribeToPages") { store, filter in
                var events: [RecordedEvent] = []
                let options = SubscriptionOptions(limits: small)
                for try await page in store.subscribeToPages(from: .start, matching: filter, options: options) {
                    events += page.events
                    if page.isLast { break }
                }
                return events
            },
            Way("handler") { store, filter in
                let handled = Mutex<[RecordedEvent]>([])
                let handler = Handler("each", matching: filter, options: HandlerOptions(lanes: 2)) { event, _ in
                    handled.withLock { $0.append(event) }
                    return .done
                }
                _ = try await store.handleEverything(with: handler)
                return handled.withLock { $0.sorted { ($0.position, $0.part) < ($1.position, $1.part) } }
            },
            Way("batch handler") { store, filter in
                let handled = Mutex<[RecordedEvent]>([])
                let handler = Handler.batches("batches", matching: filter, options: HandlerOptions(lanes: 2)) {
                    events,
                    _ in
                    handled.withLock { $0 += events }
                    return .done
                }
                _ = try await store.handleEverything(with: handler)
                return handled.withLock { $0.sorted { ($0.position, $0.part) < ($1.position, $1.part) } }
            },
            Way("stored events, lifted one by one") { store, filter in
                var events: [RecordedEvent] = []
                let stored = store.upcasters.stored(filter)
                for try await event in EventStore(store.client).readAll(matching: stored) {
                    events += try store.upcasters.lift(event, matching: filter)
                }
                return events
            },
        ]
    }

    static let filters: [EventFilter] = [
        .all, .eventTypes("order.placed"), .eventTypes("order.packed", "order.placed"), .eventTypes("order.packed"),
        .eventTypes("order.noted"), .eventTypes("order.viewed2"),
        EventFilter(eventTypes: ["order.paid"], aggregateTypes: ["order"]), .aggregateTypes("none"),
    ]

    @Test(arguments: Way.ways)
    func everyWayOfReadingGivesTheSame(way: Way) async throws {
        for filter in Self.filters {
            try await withStore(upcasters: OldShop.upcasters) { store in
                try await OldShop.publish(to: store)
                let events = try await way.read(store, filter)
                let expected = filter.aggregateTypes == ["none"] ? [] : OldShop.meaning(of: filter.eventTypes)
                #expect(try events.map(OldShop.line) == expected, "\(filter)")
                // Of the parts that a filter leaves, the last is the last.
                for (event, next) in zip(events, events.dropFirst()) {
                    #expect(event.isLastPart == (next.position != event.position), "\(filter)")
                }
                #expect(events.last?.isLastPart ?? true)
            }
        }
    }

    @Test func streamsGiveTheSameForwardsAndBackwards() async throws {
        try await withStore(upcasters: OldShop.upcasters) { store in
            try await OldShop.publish(to: store)
            for id in ["a", "b", "c", "d"] {
                let stream = StreamID("order", id)
                let expected = OldShop.meaning.filter { $0.contains(" order/\(id) ") }
                var (forwards, backwards): ([String], [String]) = ([], [])
                for try await event in store.readStream(stream) { forwards.append(try OldShop.line(event)) }
                for try await event in store.readStream(stream, direction: .backwards) {
                    backwards.append(try OldShop.line(event))
                }
                #expect(forwards == expected)
                #expect(backwards == expected.reversed())
            }
            var parts: [String] = []
            for try await event in store.readStream(StreamID("order", "a"), from: 3, through: 3) {
                parts.append(event.type)
            }
            #expect(parts == ["order.paid", "order.packed"])
        }
    }

    @Test(arguments: Way.ways.filter { !$0.testDescription.contains("handler") })
    func whatCannotBeLiftedEndsTheReadingWithItsName(way: Way) async throws {
        try await withStore(upcasters: OldShop.broken) { store in
            try await OldShop.publish(to: store)
            let stream = StreamID("order", "z")
            let result = try await store.append(
                [OldShop.event("order.placed"), OldShop.event("order.broken"), OldShop.event("order.placed")],
                to: stream
            )
            let broken = result.events[1].position
            let error = try await #require(throws: UpcastingError.self) { try await way.read(store, .all) }
            #expect(error.position == broken)
            #expect(error.step == "upcast order.broken from 1 to 2")
            #expect(error.cause is OldShop.Broken)
            // Who does not want it is not kept by it.
            let others = try await way.read(store, .eventTypes("order.placed"))
            #expect(others.suffix(2).map(\.version) == [1, 3])
        }
    }

    @Test func whatStandsBeforeItIsGivenFirst() async throws {
        try await withStore(upcasters: OldShop.broken) { store in
            let stream = StreamID("order", "z")
            let types = ["order.placed", "order.paid", "order.broken", "order.paid"]
            try await store.append(types.map { OldShop.event($0) }, to: stream)
            var seen: [String] = []
            await #expect(throws: UpcastingError.self) {
                for try await event in store.readAll() { seen.append(event.type) }
            }
            await #expect(throws: UpcastingError.self) {
                for try await event in store.readStream(stream) { seen.append(event.type) }
            }
            await #expect(throws: UpcastingError.self) {
                for try await element in store.subscribe(from: .start) {
                    if case .event(let event) = element { seen.append(event.type) }
                }
            }
            #expect(seen == ["order.placed", "order.paid", "order.placed", "order.paid", "order.placed", "order.paid"])

            let page = try await store.readPage()
            #expect(page.events.map(\.type) == ["order.placed", "order.paid"])
            #expect(page.scannedTo == page.events[1].position && !page.isLast)
            await #expect(throws: UpcastingError.self) { try await store.readPage(after: page.scannedTo) }
            var pages = store.subscribeToPages(from: .start).makeAsyncIterator()
            #expect(try await pages.next()?.scannedTo == page.scannedTo)
            // It stays where it is, however often it is asked.
            for _ in 1...2 { await #expect(throws: UpcastingError.self) { try await pages.next() } }
        }
    }

    @Test func aSubscriptionSaysHowFarItIsWhereAllWasDropped() async throws {
        try await withStore(upcasters: OldShop.upcasters) { store in
            let stream = StreamID("order", "1")
            try await store.append([OldShop.event("order.paid", #"{"cents": 1}"#)], to: stream)
            let reader = LiveReader(store.subscribe(from: .start))
            try await reader.hasCaughtUp()
            let result = try await store.append([OldShop.event("order.viewed")], to: stream)
            try await eventually("it says so") {
                reader.elements.contains { element in
                    if case .progress(let position) = element { position == result.events[0].position } else { false }
                }
            }
            #expect(reader.events.map(\.type) == ["order.paid"])
            reader.cancel()
        }
    }
}

extension EventStore {
    fileprivate func readPage() async throws -> EventPage { try await readPage(after: .start) }
}
