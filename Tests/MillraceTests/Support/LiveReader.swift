import Millrace
import Synchronization

/// A subscription that is followed in a task of its own, and everything that it said so far.
final class LiveReader: Sendable {
    private let heard = Mutex<[SubscriptionElement]>([])
    private let task: Mutex<Task<Void, any Error>?>

    init(_ subscription: Subscription) {
        task = Mutex(nil)
        task.withLock { task in
            task = Task { [self] in
                for try await element in subscription { heard.withLock { $0.append(element) } }
            }
        }
    }

    var elements: [SubscriptionElement] { heard.withLock { $0 } }

    var events: [RecordedEvent] {
        elements.compactMap { element in
            if case .event(let event) = element { event } else { nil }
        }
    }

    var caughtUpCount: Int {
        elements.count { element in
            if case .caughtUp = element { true } else { false }
        }
    }

    /// Returns once the subscription has delivered this many events.
    func hasEvents(_ count: Int) async throws {
        try await eventually("the subscription has delivered \(count) events") { events.count >= count }
    }

    /// Returns once the subscription has said that it caught up.
    func hasCaughtUp() async throws {
        try await eventually("the subscription has caught up") { caughtUpCount > 0 }
    }

    func cancel() { task.withLock { $0?.cancel() } }

    /// Returns when the subscription has ended; throws what it ended with.
    func ended() async throws {
        let task = task.withLock { $0 }
        try await within(.seconds(30), "the subscription ends") { try await task?.value }
    }
}
