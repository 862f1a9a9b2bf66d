import Foundation
import Logging
import MillracePostgres
import Synchronization
import Testing

@testable import Millrace

/// The log is read once for all subscribers of a process, and none of them notices: everyone gets every event that it wants,
/// once, in order, at its own speed.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct OneReaderTests {
    /// A window and pages so small that whoever looks away falls out.
    private static let tight = {
        var limits = LogFeedState.Limits()
        limits.window = PageWindow.Limits(bytes: 1 << 20, events: 150, pages: 40)
        limits.page = PageLimits(events: 50, scanned: 50, bytes: 1 << 20)
        limits.keptBytes = 100_000
        return limits
    }()

    private static func tightStore(_ client: PostgresClient) -> EventStore {
        EventStore(client, logger: Logger(label: "millrace.tests"), feed: tight)
    }

    /// Appends requests of a few events with types and streams by turns.
    private static func publish(_ requests: Int, to store: EventStore, _ name: String = "n") async throws {
        for number in 0..<requests {
            let events = (0..<5).map { NewEvent(type: "type \(($0 + number) % 3)", data: JSON("\(number)")) }
            try await store.append(events, to: StreamID("kind \(number % 2)", "\(name) \(number % 7)"))
        }
    }

    @Test func aHundredLiveSubscribersCostNoMoreReadsThanOne() async throws {
        let events = 60
        func reads(by subscribers: Int) async throws -> Int {
            try await withStore { store in
                var configuration = store.client.configuration
                configuration.sessionSettings["track_functions"] = "pl"
                configuration.applicationName = "counted"
                try await withClient(configuration) { client in
                    let counted = EventStore(client, logger: Logger(label: "millrace.tests"))
                    let readers = (0..<subscribers).map { _ in LiveReader(counted.subscribe(from: .start)) }
                    for reader in readers { try await reader.hasCaughtUp() }
                    for number in 1...events {
                        try await store.append([NewEvent(type: "t", data: .emptyObject)], to: StreamID("a", "1"))
                        for reader in readers { try await reader.hasEvents(number) }
                    }
                    for reader in readers { #expect(reader.events.map(\.version) == Array(1...events)) }
                    for reader in readers { reader.cancel() }
                }
                // A session's counts are there for all when it has ended.
                try await eventually("the counted sessions have ended") {
                    let left = try await store.client.query(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted' AND datname = current_database()"
                    )
                    return try left[0].decode(Int64.self, at: 0) == 0
                }
                let calls = try await store.client.query(
                    """
                    SELECT coalesce(sum(calls) FILTER (WHERE funcname IN ('begin_page', 'read_page')), 0)::bigint,
                           coalesce(sum(calls) FILTER (WHERE funcname = 'horizon'), 0)::bigint
                    FROM pg_stat_user_functions WHERE schemaname = 'millrace'
                    """
                ).single()
                let pages = try calls.decode(Int64.self, at: 0)
                #expect(try calls.decode(Int64.self, at: 1) == pages, "the horizon is computed once a page")
                return Int(pages)
            }
        }
        let one = try await reads(by: 1)
        let hundred = try await reads(by: 100)
        print("OneReader: \(events) events one by one: \(one) reads for 1 subscriber, \(hundred) for 100")
        #expect(one >= events)
        // Everyone of them asked to be told that it has caught up, and beside a hundred tasks hints come later.
        #expect(hundred <= 2 * one)
    }

    @Test func aSlowSubscriberHoldsNobodyUpAndMissesNothing() async throws {
        try await withStore { store in
            let follower = Self.tightStore(store.client)
            let slow = follower.subscribeToPages(from: .start)
            var iterator = slow.makeAsyncIterator()
            try await Self.publish(2, to: store)
            var seen = try await iterator.next()?.events ?? []
            let fast = LiveReader(follower.subscribe(from: .start))
            try await fast.hasEvents(10)
            // The slow one is busy; the fast one gets everything meanwhile, far more than the window holds.
            try await Self.publish(200, to: store)
            try await fast.hasEvents(1010)
            let left = seen.last?.position ?? .start
            let window = try #require(follower.feed.state.windowStart)
            #expect(window > left, "it has fallen out of the window")
            while seen.count < 1010, let page = try await iterator.next() { seen += page.events }
            #expect(seen == fast.events)
            // Back at the head, it gets what the fast one gets.
            try await Self.publish(1, to: store)
            while seen.count < 1015, let page = try await iterator.next() { seen += page.events }
            try await fast.hasEvents(1015)
            #expect(seen == fast.events)
            let all = try await Self.everything(in: store)
            #expect(seen == all)
            fast.cancel()
        }
    }

    /// Twenty subscribers with four filters, at different speeds and from different places, while several publish.
    @Test func everyFilterAtEverySpeedGetsWhatItWants() async throws {
        try await withStore { store in
            let follower = Self.tightStore(store.client)
            try await Self.publish(40, to: store, "before")
            let middle = try await store.lastPosition()
            let filters = [
                EventFilter.all, .eventTypes("type 1"), .aggregateTypes("kind 1"),
                EventFilter(eventTypes: ["type 0", "type 2"], aggregateTypes: ["kind 0"]),
            ]
            let last = NewEvent(type: "type 1", data: JSON("\"last\""))
            let subscribers = (0..<20).map { number in
                let filter = filters[number % filters.count]
                let start: StartingPoint = number % 3 == 0 ? .after(middle) : .start
                return Task {
                    var events: [RecordedEvent] = []
                    let options = SubscriptionOptions(
                        limits: PageLimits(events: 3 + number * 7, scanned: 11 + number * 9)
                    )
                    for try await page in follower.subscribeToPages(from: start, matching: filter, options: options) {
                        events += page.events
                        for _ in 0..<(number * number * 4) { await Task.yield() }
                        if page.scannedTo >= middle, try await Self.isEnd(page.scannedTo, of: store, last) { break }
                    }
                    return events
                }
            }
            try await withThrowingTaskGroup { group in
                for publisher in 0..<3 { group.addTask { try await Self.publish(60, to: store, "p\(publisher)") } }
                try await group.waitForAll()
            }
            try await store.append([last], to: StreamID("kind 1", "last"))
            let all = try await Self.everything(in: store)
            for (number, subscriber) in subscribers.enumerated() {
                let filter = filters[number % filters.count]
                let wanted = all.filter { filter.wants($0) && (number % 3 != 0 || $0.position > middle) }
                let received = try await subscriber.value
                #expect(received == wanted, "subscriber \(number)")
            }
        }
    }

    /// Whether the event that is published last lies at or before a position.
    private static func isEnd(_ position: Position, of store: EventStore, _ last: NewEvent) async throws -> Bool {
        let found = try await store.client.query(
            "SELECT EXISTS (SELECT FROM millrace.events WHERE event_id = $1 AND id <= $2)",
            [.uuid(last.id), .int8(position.rawValue)]
        )
        return try found[0].decode(Bool.self, at: 0)
    }

    @Test func theEndOfOneLeavesTheOthersAlone() async throws {
        try await withStore { store in
            let subscriptions = (0..<3).map { _ in store.subscribe(from: .start) }
            let readers = subscriptions.map { LiveReader($0) }
            for reader in readers { try await reader.hasCaughtUp() }
            subscriptions[0].stop()
            try await readers[0].ended()
            readers[1].cancel()
            await #expect(throws: CancellationError.self) { try await readers[1].ended() }
            try await Self.publish(3, to: store)
            try await readers[2].hasEvents(15)
            #expect(readers[0].events.isEmpty && readers[1].events.isEmpty)
            readers[2].cancel()
        }
    }

    @Test func twentySubscribersOutliveRestartsAndACrash() async throws {
        try await CrashableServer.run { server in
            let configuration = PostgresConfiguration(server.connectionString)
            try await withStores(configuration, configuration) { store, other in
                let follower = Self.tightStore(other.client)
                let readers = (0..<20).map { _ in LiveReader(follower.subscribe(from: .start)) }
                for reader in readers { try await reader.hasCaughtUp() }
                for round in 1...3 {
                    try await Self.publish(5, to: store, "round \(round)")
                    if round == 2 {
                        try await server.kill()
                        try await server.start()
                    } else {
                        try await server.restart()
                    }
                    try await eventually("an append succeeds again") {
                        do {
                            try await Self.publish(1, to: store, "after \(round)")
                            return true
                        } catch is EventStoreError {
                            return false
                        }
                    }
                    let all = try await Self.everything(in: store)
                    for reader in readers { try await reader.hasEvents(all.count) }
                }
                let all = try await Self.everything(in: store)
                for reader in readers {
                    #expect(reader.events == all)
                    // Never further behind than a page.
                    #expect(reader.caughtUpCount == 1, "an outage is not a falling behind")
                }
                for reader in readers { reader.cancel() }
            }
        }
    }

    private static func everything(in store: EventStore) async throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        for try await event in store.readAll() { events.append(event) }
        return events
    }
}
