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

    static let few = 200
    static let many = 20_000
    /// Requests, and pages, that the events are spread over.
    private static let calls = 20
    static let page = 1000

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

    private func append(_ count: Int, to store: EventStore) async throws {
        let run = UUID.version7().uuidString
        for call in 0..<HotPath.calls {
            try await store.append(HotPath.request(of: count / HotPath.calls, "\(run)-\(call)"))
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
        for _ in 0..<HotPath.calls {
            let limits = PageLimits(events: count / HotPath.calls)
            let page = try await store.readPage(after: .start, limits: limits)
            let bytes = page.events.reduce(0) { $0 + HotPath.bytes($1) }
            try HotPath.check(page.events.count == count / HotPath.calls, bytes)
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
