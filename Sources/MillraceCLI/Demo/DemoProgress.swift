import Histogram
import Millrace
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What has happened so far in a run, counted by those who do it and looked at by those who show it.
final class DemoProgress: Sendable {
    struct Consumer {
        var handled = 0
        /// From an event's publication to the commit of its handling, in microseconds.
        var latency = Histogram<UInt64>(highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)

        func latency(_ percentile: Double) -> Duration { .microseconds(Int64(latency.valueAtPercentile(percentile))) }
    }

    struct Snapshot {
        var published = 0
        var consumers: [OrderConsumer: Consumer] = [:]

        func handled(by consumer: OrderConsumer) -> Int { consumers[consumer]?.handled ?? 0 }

        var isDrained: Bool { OrderConsumer.allCases.allSatisfy { handled(by: $0) >= published } }
    }

    private struct State {
        var snapshot = Snapshot()
        var isStopping = false
        var hasFinishedPublishing = false
    }

    private let state = Mutex(State())

    func published(_ count: Int) { state.withLock { $0.snapshot.published += count } }

    func handled(_ events: [RecordedEvent], by consumer: OrderConsumer) {
        let now = Date.now
        state.withLock { state in
            for event in events {
                let microseconds = UInt64(max(0, now.timeIntervalSince(event.occurredAt)) * 1_000_000)
                state.snapshot.consumers[consumer, default: Consumer()].latency.record(microseconds)
            }
            state.snapshot.consumers[consumer, default: Consumer()].handled += events.count
        }
    }

    func stop() { state.withLock { $0.isStopping = true } }
    func finishPublishing() { state.withLock { $0.hasFinishedPublishing = true } }
    /// No further orders are to be begun; those under way are finished.
    var isStopping: Bool { state.withLock { $0.isStopping } }
    /// Everything that will be published has been.
    var hasFinishedPublishing: Bool { state.withLock { $0.hasFinishedPublishing } }
    var snapshot: Snapshot { state.withLock { $0.snapshot } }
}
