import Foundation
import Millrace
import MillracePostgres

/// What every event passes through. Each is measured with few events and with many: the difference is what an event costs, without
/// what a call, a connection or the start of the program does.
enum HotPath: String, CaseIterable, Sendable {
    /// Encoding an event of a request, and decoding the place that it was given.
    case append
    /// Decoding an event of a page of the log.
    case read
    /// Decoding an event and handing it to a subscriber.
    case subscribe

    /// Events that the log holds to be read.
    static let stored = 20_000
    static let page = 1000

    /// Requests, or pages, that the events are spread over. A request stays smaller than what a socket takes at once: how often a larger
    /// one has to wait is chance.
    private var calls: Int {
        switch self {
        case .append: 100
        case .read, .subscribe: 20
        }
    }
    var few: Int { calls * 10 }
    var many: Int {
        switch self {
        case .append: calls * 100
        case .read, .subscribe: HotPath.stored
        }
    }

    private static let data = JSON(
        """
        {"order":"o-1234567","customer":"c-48213","currency":"EUR","terms":"net30","cents":12990,"lines":\
        [{"sku":"A-19283","quantity":2,"cents":4995},{"sku":"A-77120","quantity":1,"cents":3000}],"channel":"web"}
        """
    )
    private static let metadata = JSON(#"{"correlation_id":"b7ad6b7169203331","source":"checkout-3"}"#)

    func run(events count: Int, on store: EventStore) async throws {
        switch self {
        case .append: try await append(count, to: store)
        case .read: try await read(count, from: store)
        case .subscribe: try await follow(count, of: store)
        }
    }

    /// Runs `body`; for subscribers while an idle one keeps the store listening: logging in on the connection that each run
    /// would otherwise open for itself costs as much as thousands of events.
    func prepared<Value: Sendable>(on store: EventStore, _ body: () async throws -> Value) async throws -> Value {
        guard self == .subscribe else { return try await body() }
        let idle = store.subscribeToPages(from: .end)
        let (caughtUp, signal) = AsyncStream<Void>.makeStream()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { signal.finish() }
                for try await _ in idle { signal.finish() }
            }
            for await _ in caughtUp {}
            do {
                let value = try await body()
                idle.stop()
                try await group.waitForAll()
                return value
            } catch {
                group.cancelAll()
                throw error
            }
        }
    }

    private func append(_ count: Int, to store: EventStore) async throws {
        let run = UUID.version7().uuidString
        for call in 0..<calls {
            try await store.append(HotPath.request(of: count / calls, "\(run)-\(call)"))
        }
    }

    /// Six events a stream.
    static func request(of count: Int, _ name: String) -> AppendRequest {
        var request = AppendRequest()
        for first in stride(from: 0, to: count, by: 6) {
            let events = (first..<min(first + 6, count)).map { _ in
                NewEvent(type: "order.created", data: data, metadata: metadata)
            }
            request.append(events, to: StreamID("order", "\(name)-\(first)"))
        }
        return request
    }

    private func read(_ count: Int, from store: EventStore) async throws {
        for _ in 0..<calls {
            let limits = PageLimits(events: count / calls)
            let page = try await store.readPage(after: .start, limits: limits)
            let bytes = page.events.reduce(0) { $0 + HotPath.bytes($1) }
            try HotPath.check(page.events.count == count / calls, bytes)
        }
    }

    private func follow(_ count: Int, of store: EventStore) async throws {
        var (events, bytes) = (0, 0)
        var options = SubscriptionOptions()
        options.limits = PageLimits(events: HotPath.page)
        for try await element in store.subscribe(from: .start, options: options) {
            guard case .event(let event) = element else { continue }
            bytes += HotPath.bytes(event)
            events += 1
            if events == count { break }
        }
        try HotPath.check(events == count, bytes)
    }

    /// What a consumer looks at, so that nothing can be left undone.
    private static func bytes(_ event: RecordedEvent) -> Int {
        event.data.utf8.count + event.type.utf8.count + event.stream.aggregateID.utf8.count
    }

    private static func check(_ isComplete: Bool, _ bytes: Int) throws {
        guard isComplete, bytes > 0 else { throw BenchmarkFailure("the log holds too few events") }
    }
}

struct BenchmarkFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
