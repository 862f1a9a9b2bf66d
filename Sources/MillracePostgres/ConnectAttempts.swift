internal import Synchronization

/// The attempts of a client that have a thread inside libpq, wanted or not.
///
/// A process must not call exit() meanwhile: it takes OpenSSL down under the thread, which crashes.
final class ConnectAttempts: Sendable {
    private typealias Waiter = CheckedContinuation<Void, Never>

    private struct State {
        var count = 0
        var waiters: [UInt64: Waiter] = [:]
        var lastWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.count } }

    func begin() {
        state.withLock { $0.count += 1 }
    }

    func end() {
        let waiters = state.withLock { state -> [Waiter] in
            state.count -= 1
            guard state.count == 0 else { return [] }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when there are none, or when the time is over.
    func wait(atMost limit: Duration) async {
        await withCheckedContinuation { continuation in
            let id = state.withLock { state -> UInt64? in
                guard state.count > 0 else { return nil }
                state.lastWaiter += 1
                state.waiters[state.lastWaiter] = continuation
                return state.lastWaiter
            }
            guard let id else { return continuation.resume() }
            PollLoop.shared.submit { [self] in
                PollLoop.shared.schedule(at: .now + limit) { [self] in
                    state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
                }
            }
        }
    }
}
