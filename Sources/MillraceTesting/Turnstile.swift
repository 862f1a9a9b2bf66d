import Synchronization

/// Lets so many in at a time and keeps the others waiting, in the order they came.
final class Turnstile: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    init(places: Int) {
        precondition(places > 0, "nobody could ever pass")
        state = Mutex(State(free: places))
    }

    /// Whoever is inside already has a place: with a second one for each, all of them could wait for each other.
    @TaskLocal private static var isInside = false

    func pass<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        if Turnstile.isInside { return try await body() }
        await enter()
        defer { leave() }
        return try await Turnstile.$isInside.withValue(true) { try await body() }
    }

    private func enter() async {
        await withCheckedContinuation { continuation in
            let hasPlace = state.withLock { state in
                guard state.free > 0 else {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if hasPlace { continuation.resume() }
        }
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
