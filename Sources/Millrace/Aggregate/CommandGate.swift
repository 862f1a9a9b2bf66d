import DequeModule
import MillracePostgres
import Synchronization

/// How many commands of a process hold a connection while they wait for the locks of their streams: the others of the pool are left to
/// whoever does not compete. First come, first served.
final class CommandGate: Sendable {
    private typealias Caller = CheckedContinuation<Void, any Error>

    private struct State {
        var free: Int
        /// In the order of their coming; those who have left are not among the callers any more.
        var line: Deque<UInt64> = []
        var callers: [UInt64: Caller] = [:]
        var lastID: UInt64 = 0
    }

    /// The part of a pool that it may take.
    private static let shareOfConnections = 4
    /// How many wait for a place; further ones are refused with ``PostgresError/poolExhausted(waiters:)``.
    static let waiting = 10_000

    let places: Int
    private let state: Mutex<State>

    init(connections: Int) {
        places = max(1, connections / CommandGate.shareOfConnections)
        state = Mutex(State(free: places))
    }

    /// How many wait.
    var waitingCount: Int { state.withLock { $0.callers.count } }

    /// - Throws: `CancellationError`, ``EventStoreError/postgres(_:)``, and what `body` throws.
    func withPlace<Value>(_ body: () async throws -> Value) async throws -> Value {
        try await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async throws {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { enter(id, $0) }
        } onCancel: {
            state.withLock { $0.callers.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    private func enter(_ id: UInt64, _ caller: Caller) {
        let outcome: Result<Void, any Error>? = state.withLock { state in
            // A cancellation that came before found nobody to answer.
            if Task.isCancelled { return .failure(CancellationError()) }
            if state.free > 0 {
                state.free -= 1
                return .success(())
            }
            guard state.callers.count < CommandGate.waiting else {
                return .failure(EventStoreError.postgres(.poolExhausted(waiters: state.callers.count)))
            }
            state.line.append(id)
            state.callers[id] = caller
            return nil
        }
        if let outcome { caller.resume(with: outcome) }
    }

    private func leave() {
        let next: Caller? = state.withLock { state in
            while let id = state.line.popFirst() {
                if let caller = state.callers.removeValue(forKey: id) { return caller }
            }
            state.free += 1
            return nil
        }
        next?.resume()
    }
}
