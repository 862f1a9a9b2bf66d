internal import DequeModule
internal import Logging
internal import Synchronization

/// Where the poll loop puts what a listener takes: bounded, the newest kept.
final class NotificationInbox: Sendable {
    enum Taken {
        case notification(PostgresNotification)
        case connectionEnded
        case finished
        case nothing
    }

    private struct State {
        var buffer: Deque<PostgresNotification> = []
        var connectionEnded = false
        var finished = false
        var waiter: CheckedContinuation<Void, Never>?
        var connecting: Task<PostgresConnection, any Error>?

        var hasNews: Bool { !buffer.isEmpty || connectionEnded || finished }
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) {
        self.limit = max(2, limit)
    }

    func add(_ notification: PostgresNotification) {
        state.withLock { state in
            if state.buffer.count == limit {
                // The listener learns that something is missing, in the place of what is.
                state.buffer.removeFirst(2)
                state.buffer.prepend(.listening)
            }
            state.buffer.append(notification)
        }
        wake()
    }

    func connectionEnded() {
        state.withLock { $0.connectionEnded = true }
        wake()
    }

    func finish() {
        let connecting = state.withLock { state in
            state.finished = true
            return state.connecting
        }
        connecting?.cancel()
        wake()
    }

    func take() -> Taken {
        state.withLock { state in
            if state.finished { return .finished }
            if let notification = state.buffer.popFirst() { return .notification(notification) }
            guard state.connectionEnded else { return .nothing }
            state.connectionEnded = false
            return .connectionEnded
        }
    }

    /// Returns when there is something to take, after the limit, or for no reason: the caller looks again.
    func wait(atMost limit: Duration?) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    if state.hasNews || Task.isCancelled { return true }
                    precondition(state.waiter == nil, "two tasks iterate over the same notifications")
                    state.waiter = continuation
                    return false
                }
                if isDue { return continuation.resume() }
                guard let limit else { return }
                PollLoop.shared.submit { [self] in
                    PollLoop.shared.schedule(at: .now + limit) { [self] in wake() }
                }
            }
        } onCancel: {
            wake()
        }
    }

    private func wake() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Opens a connection that puts its notifications here, unless the caller's task or the client ends before.
    func connect(_ client: PostgresClient, _ listen: [PostgresCall]) async throws -> PostgresConnection {
        let task = Task {
            let connection = try await PostgresConnection.connect(
                client.configuration,
                client.logger,
                among: client.attempts
            )
            connection.deliver(to: self)
            try await connection.pipeline(listen)
            return connection
        }
        let isFinished = state.withLock { state in
            state.connecting = task
            return state.finished
        }
        defer { state.withLock { $0.connecting = nil } }
        if isFinished { task.cancel() }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}

extension PostgresConnection {
    nonisolated func deliver(to inbox: NotificationInbox) {
        PollLoop.shared.submit { [self] in
            assumeIsolated { connection in
                if connection.ending == nil { connection.inbox = inbox } else { inbox.connectionEnded() }
            }
        }
    }
}
