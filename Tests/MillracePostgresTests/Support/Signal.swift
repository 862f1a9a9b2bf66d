import Synchronization

/// Something that happens once, and that others wait for.
final class Signal: Sendable {
    private struct State {
        var isGiven = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var isGiven: Bool { state.withLock { $0.isGiven } }

    func give() {
        let waiters = state.withLock { state in
            state.isGiven = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isGiven = state.withLock { state in
                if !state.isGiven { state.waiters.append(continuation) }
                return state.isGiven
            }
            if isGiven { continuation.resume() }
        }
    }
}

/// Waits for a condition of this process that nothing announces.
func until(_ name: String, _ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + conditionDeadline
    while !condition() {
        guard ContinuousClock.now < deadline else {
            throw ConditionNotMet(description: "\(name) did not come true within \(conditionDeadline)")
        }
        await Task.yield()
    }
}
