import MillracePostgres
import Synchronization

/// Runs a lane's transactions, each in a task of its own so that it can be left alone where it does not return, and looks after them with one
/// timer for all.
final class LaneOverseer: Sendable {
    enum Ending: Sendable {
        case returned(Result<LaneBatch.Result, any Error>)
        /// This event did not return, and its transaction is void.
        case overdue(RecordedEvent)
    }

    private struct Transaction {
        let watch: LaneWatch
        let task: Task<Void, Never>
        let ending: LaneEnding<Ending>
    }

    private struct State {
        /// The one that is under way.
        var transaction: Transaction?
        var timerIsSet = false
    }

    private let client: PostgresClient
    private let limit: Duration
    private let report: @Sendable (RecordedEvent) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: how long one event may be in hand.
    ///   - report: told of an event that is left alone, on the poll thread.
    init(client: PostgresClient, limit: Duration, report: @escaping @Sendable (RecordedEvent) -> Void) {
        self.client = client
        self.limit = limit
        self.report = report
    }

    /// Runs one transaction; a lane has no other meanwhile.
    func run(_ watch: LaneWatch, _ body: @escaping @Sendable () async throws -> LaneBatch.Result) async -> Ending {
        let ending = LaneEnding<Ending>()
        let task = Task {
            let result: Result<LaneBatch.Result, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            ending.set(.returned(result))
        }
        let needsTimer = state.withLock { state in
            state.transaction = Transaction(watch: watch, task: task, ending: ending)
            defer { state.timerIsSet = true }
            return !state.timerIsSet
        }
        if needsTimer { look(after: limit) }
        let value = await withTaskCancellationHandler {
            await ending.value()
        } onCancel: {
            task.cancel()
        }
        state.withLock { $0.transaction = nil }
        return value
    }

    /// On the poll thread: looks whether an event has been in hand for too long, and comes back when one may be. Where nothing is under way the
    /// next transaction sets the timer again.
    private func look(after wait: Duration) {
        client.schedule(after: wait) { [self] in
            let transaction = state.withLock { state in
                state.timerIsSet = state.transaction != nil
                return state.transaction
            }
            guard let transaction else { return }
            guard transaction.watch.condemned == nil else { return look(after: LaneWatch.grace) }
            if let event = transaction.watch.condemn(after: limit) {
                end(transaction, event)
                return look(after: LaneWatch.grace)
            }
            look(after: transaction.watch.inHand.map { max(limit - $0.time, .milliseconds(1)) } ?? limit)
        }
    }

    private func end(_ transaction: Transaction, _ event: RecordedEvent) {
        transaction.task.cancel()
        client.schedule(after: LaneWatch.grace) { [self] in
            guard transaction.ending.set(.overdue(event)) else { return }
            report(event)
            if let connection = transaction.watch.giveUp() { Task { await connection.close() } }
        }
    }
}

/// How something ended: the first word counts.
final class LaneEnding<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiter: CheckedContinuation<Value, Never>?
    }

    private let state = Mutex(State())

    var isSet: Bool { state.withLock { $0.value != nil } }

    /// - Returns: whether it was the first.
    @discardableResult
    func set(_ value: Value) -> Bool {
        let (isFirst, waiter) = state.withLock { state in
            guard state.value == nil else { return (false, nil as CheckedContinuation<Value, Never>?) }
            state.value = value
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume(returning: value)
        return isFirst
    }

    /// For one who waits.
    func value() async -> Value {
        await withCheckedContinuation { continuation in
            let value = state.withLock { state in
                if state.value == nil { state.waiter = continuation }
                return state.value
            }
            if let value { continuation.resume(returning: value) }
        }
    }
}
