import Synchronization

/// A number that many tasks raise.
final class Counter: Sendable {
    private let count = Mutex(0)

    func increment(by step: Int = 1) { count.withLock { $0 += step } }
    var value: Int { count.withLock { $0 } }
}
