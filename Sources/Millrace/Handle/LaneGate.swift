import DequeModule
import Synchronization

/// How many lanes of a process handle events at the same time: each has a connection meanwhile, and handlers that ask for another one must
/// find it. First come, first served.
final class LaneGate: Sendable {
    private struct State {
        var free: Int
        var line: Deque<CheckedContinuation<Void, Never>> = []
    }

    private let state: Mutex<State>

    init(places: Int) { state = Mutex(State(free: places)) }

    /// Not cancellable: whoever is in ahead of it is bounded by his own timeouts.
    func enter() async {
        await withCheckedContinuation { continuation in
            let isIn = state.withLock { state in
                guard state.free > 0 else {
                    state.line.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isIn { continuation.resume() }
        }
    }

    func leave() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            if let next = state.line.popFirst() { return next }
            state.free += 1
            return nil
        }
        next?.resume()
    }
}
