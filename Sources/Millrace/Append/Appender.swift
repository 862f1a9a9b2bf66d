import MillracePostgres
import Synchronization

/// Group commit: the requests that arrive while a batch is on its way share the next transaction.
///
/// A lone request is sent at once by its own task, and nothing ever waits for company. What is decided is the state
/// machine's; here it is done. A batch belongs to none of its callers, so that one who gives up takes nobody with him.
final class Appender: Sendable {
    /// How one request ended.
    enum Answer: Sendable {
        /// The row that the server answered it with, on its own.
        case row(PostgresRow)
        /// Nothing of it was stored.
        case refused(PostgresError)
        /// It is stored, or it is not.
        case unknown
        /// The server speaks of other requests than it was asked to store.
        case mismatch(rows: Int, requests: Int)
    }

    private typealias Batch = AppenderStateMachine.Batch
    private typealias Caller = CheckedContinuation<Answer, Never>

    private struct Departure {
        let batch: Batch
        let needsWatch: Bool
    }

    private struct State: ~Copyable {
        var machine: AppenderStateMachine
        var callers: [AppenderStateMachine.TicketID: Caller] = [:]
        /// Whether somebody will look for batches that are overdue.
        var isWatched = false

        /// The next batch, and whether a watch is to be set over it.
        mutating func next() -> Departure? {
            guard let batch = machine.nextBatch(now: .now) else { return nil }
            defer { isWatched = true }
            return Departure(batch: batch, needsWatch: !isWatched)
        }

        mutating func take(_ ids: some Sequence<AppenderStateMachine.TicketID>) -> [Caller] {
            ids.compactMap { callers.removeValue(forKey: $0) }
        }
    }

    /// Batches beyond this are encoded in a task of their own: the poll thread, where a batch ends and the next one begins,
    /// has other connections to serve.
    static let largestInPlace = 256 << 10

    let limits: AppenderLimits
    private let client: PostgresClient
    private let announce: @Sendable (Position) -> Void
    private let lastID = Atomic<UInt64>(0)
    private let state: Mutex<State>

    /// - Parameter announce: called once a batch that stored something, before its callers go on, on the poll thread.
    init(client: PostgresClient, limits: AppenderLimits, announce: @escaping @Sendable (Position) -> Void) {
        var limits = limits
        limits.batchesInFlight = max(1, min(limits.batchesInFlight, client.configuration.maximumConnections))
        self.limits = limits
        self.client = client
        self.announce = announce
        state = Mutex(State(machine: AppenderStateMachine(limits: limits)))
    }

    /// Requests that are not handed to a connection yet, and callers that wait for room.
    var backlog: (queued: Int, waiting: Int) {
        state.withLock { ($0.machine.queuedCount, $0.machine.waitingCount) }
    }

    /// - Throws: ``EventStoreError/invalidEvent(_:hint:)``, before anything is sent.
    func append(_ request: AppendRequest) async throws(EventStoreError) -> Answer {
        let ticket = try AppenderTicket(lastID.wrappingAdd(1, ordering: .relaxed).newValue, request)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { submit(ticket, $0) }
        } onCancel: {
            abandon(ticket.id)
        }
    }

    private func submit(_ ticket: AppenderTicket, _ caller: Caller) {
        let outcome: Result<Departure?, PostgresError> = state.withLock { state in
            // A cancellation that came before found nobody to answer.
            if Task.isCancelled { return .failure(.cancelled) }
            switch state.machine.enqueue(ticket) {
            case .refused(let waiting): return .failure(.poolExhausted(waiters: waiting))
            case .accepted:
                state.callers[ticket.id] = caller
                return .success(state.next())
            }
        }
        switch outcome {
        case .failure(let error): caller.resume(returning: .refused(error))
        case .success(let departure?): send(departure)
        case .success(nil): break
        }
    }

    private func abandon(_ id: AppenderStateMachine.TicketID) {
        let (caller, answer): (Caller?, Answer) = state.withLock { state in
            guard let caller = state.callers.removeValue(forKey: id) else { return (nil, .unknown) }
            return (caller, state.machine.leave(id) ? .refused(.cancelled) : .unknown)
        }
        caller?.resume(returning: answer)
    }

    // MARK: Batches

    private func sendNext() {
        while let departure = state.withLock({ $0.next() }) {
            if departure.batch.byteCount > Appender.largestInPlace {
                Task { send(departure) }
            } else {
                send(departure)
            }
        }
    }

    private func send(_ departure: Departure) {
        let batch = departure.batch
        client.start(AppendEncoding.call(of: batch.tickets)) { [self] outcome in
            switch outcome {
            case .success(let rows): succeeded(batch, rows)
            case .failure(let error): failed(batch, error)
            }
        }
        if departure.needsWatch { watch(after: limits.patience) }
    }

    /// One timer for all batches, set only while there are some.
    private func watch(after wait: Duration) {
        client.schedule(after: wait) { [self] in
            let next = state.withLock { state in
                let next = state.machine.look(now: .now)
                state.isWatched = next != nil
                return next
            }
            sendNext()
            if let next { watch(after: next) }
        }
    }

    private func succeeded(_ batch: Batch, _ rows: PostgresRows) {
        let callers = state.withLock { state in
            state.machine.succeeded(batch.id)
            return batch.tickets.map { state.callers.removeValue(forKey: $0.id) }
        }
        // Before anything else, so that the server has work while the callers have theirs.
        sendNext()
        guard rows.count == callers.count else {
            for caller in callers {
                caller?.resume(returning: .mismatch(rows: rows.count, requests: callers.count))
            }
            return
        }
        if let position = AppendEncoding.lastPosition(in: rows) { announce(position) }
        for (index, caller) in callers.enumerated() { caller?.resume(returning: .row(rows[index])) }
    }

    private func failed(_ batch: Batch, _ error: PostgresError) {
        let (verdict, callers) = state.withLock { state in
            let verdict = state.machine.failed(batch.id, error, now: .now)
            return (verdict, state.take(verdict.answered))
        }
        switch verdict {
        case .resend(let wait): client.schedule(after: wait) { [self] in sendAgain(batch.id) }
        case .divided: break
        case .refused: for caller in callers { caller.resume(returning: .refused(error)) }
        case .unknown: for caller in callers { caller.resume(returning: .unknown) }
        }
        sendNext()
    }

    private func sendAgain(_ id: AppenderStateMachine.BatchID) {
        state.withLock { $0.machine.waited(id) }
        sendNext()
    }
}

extension AppenderStateMachine.Verdict {
    fileprivate var answered: [AppenderStateMachine.TicketID] {
        switch self {
        case .refused(let ids), .unknown(let ids): ids
        case .resend, .divided: []
        }
    }
}
