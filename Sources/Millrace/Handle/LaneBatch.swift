import Logging
import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Streams of a lane that wait, and how many events each has waiting behind the one that failed.
typealias WaitingStreams = [StreamID: Int]

/// An event whose time has come again.
struct DueEvent: Sendable {
    let event: RecordedEvent
    let attempts: Int
    let waiting: Int
    let isDiscarded: Bool
    /// Why, where it is discarded.
    let reason: String?
}

/// One transaction of a lane: events are handled, and what became of them is settled, together or not at all.
struct LaneBatch: Sendable {
    /// Why a transaction came to nothing although the server is well.
    enum Interruption: Error {
        /// An event failed, and what it did cannot be told from what others did: run it again with more care.
        case needsCare
        /// PostgreSQL ended a conflict with another transaction.
        case conflict(PostgresError)
        /// The lane belongs to somebody else.
        case leaseLost
        /// More streams wait than may.
        case tooManyParked(String)
        /// An operator has ended the replay.
        case replayCancelled
        /// It was given up, and runs on for nothing.
        case abandoned
    }

    /// How much is done so that an event that fails takes no other with it; each step costs more than the one before.
    enum Care: Int, Sendable, Comparable {
        /// Whatever fails, all is undone.
        case none
        /// A savepoint for a few events, sent along with their statements.
        case savepoints
        /// One for each, whose release is waited for, because a handler has swallowed the failure of a statement.
        case awaitedSavepoints

        static func < (left: Care, right: Care) -> Bool { left.rawValue < right.rawValue }
    }

    /// What it came to.
    struct Result: Sendable {
        var waiting: WaitingStreams
        var processed = 0
        var hasFailures = false
        /// The shortest wait of what failed and is tried again.
        var wait: Duration?
        /// The handler said stop, before this event.
        var stop: (reason: String, before: RecordedEvent)?
    }

    let handler: Handler
    let store: EventStore
    let lease: LaneLease
    let worker: String
    let logger: Logger
    let watch: LaneWatch
    var care: Care
    /// Whether what waits behind an event whose time has come is handled with it; not where they cannot be committed together.
    var takesFollowers = true
    /// Events that are known to fail, by their positions: they did not return.
    var condemned: [Position: HandlerFailure] = [:]

    /// Events that share a savepoint.
    private static let groupSize = 10
    static let stopHandler: PostgresStatement = "SELECT millrace.stop_handler($1, 'stopped', $2)"

    /// A transaction that is open.
    private struct Open {
        let transaction: PostgresTransaction
        let publishing = HandlerContext.Publishing()
        var tally: LaneTally
        var waiting: WaitingStreams
        /// Each savepoint has a name of its own: in a transaction that has failed already none is made, and going back to one of the same name
        /// would undo what was counted as done.
        var savepoints = 0
        var hasSavepoint = false
        /// The replay that it is a part of.
        var replay: Int64?
        var wait: Duration?
        var stop: (reason: String, before: RecordedEvent)?
    }

    // MARK: New events

    /// Handles events that come after the lane's checkpoint, and moves it to `end`.
    func handle(_ events: [RecordedEvent], to end: LanePage, from start: Position, _ waiting: WaitingStreams)
        async throws -> Result
    {
        try await inTransaction(waiting) { open in
            switch handler.work {
            case .batch(let body) where care == .none && condemned.isEmpty:
                try await handleTogether(events, body, &open)
            case .each, .batch:
                if care == .awaitedSavepoints {
                    for event in events where open.stop == nil && !passedBy(event, &open) {
                        try await handleAlone(event, attempt: 1, waiting: 0, &open)
                    }
                } else {
                    try await handleInGroups(events, &open)
                }
            case .function: preconditionFailure("a function handles its events in the database")
            }
            // Before an event that stops it, the one before is the last.
            let stopped = open.stop.flatMap { stop in events.last { $0.position < stop.before.position } }
            let position = open.stop == nil ? end.scannedTo : stopped?.position ?? start
            let last = open.stop == nil ? events.last : stopped
            try await settle(&open, to: position, storedAt: last?.createdAt)
        }
    }

    /// What was known when a savepoint was set.
    private struct Mark {
        let index: Int
        let tally: LaneTally
        let waiting: WaitingStreams
        let wait: Duration?
    }

    /// One savepoint serves several events. Where one of them fails, those before it in its group are handled again, and it is known then
    /// to fail: with one failure in a hundred that costs less than a savepoint for each.
    private func handleInGroups(_ events: [RecordedEvent], _ open: inout Open) async throws {
        var failures: [Int: (failure: HandlerFailure, time: Duration)] = [:]
        var mark: Mark?
        var index = 0
        while index < events.count, open.stop == nil {
            if care > .none, mark.map({ index - $0.index >= LaneBatch.groupSize }) ?? true {
                setSavepoint(&open)
                mark = Mark(index: index, tally: open.tally, waiting: open.waiting, wait: open.wait)
            }
            let event = events[index]
            if passedBy(event, &open) {
                index += 1
                continue
            }
            if let known = failures[index] {
                setAside(event, attempt: 1, known.failure, waiting: 0, in: known.time, &open)
                index += 1
                continue
            }
            let begin = ContinuousClock.now
            guard let failure = try await failure(of: event, attempt: 1, open) else {
                open.tally.processed(event, attempt: 1, in: .now - begin)
                index += 1
                continue
            }
            failures[index] = (failure, .now - begin)
            try await undo(failure, open)
            guard let mark else { throw Interruption.needsCare }
            open.tally = mark.tally
            open.waiting = mark.waiting
            open.wait = mark.wait
            index = mark.index
        }
    }

    private func passedBy(_ event: RecordedEvent, _ open: inout Open) -> Bool {
        guard !open.waiting.isEmpty else { return false }
        let stream = event.stream
        guard let count = open.waiting[stream] else { return false }
        open.waiting[stream] = count + 1
        open.tally.passedBy(stream)
        return true
    }

    private func handleTogether(_ events: [RecordedEvent], _ body: Handler.Batch, _ open: inout Open) async throws {
        var batch: [RecordedEvent] = []
        for event in events where !passedBy(event, &open) { batch.append(event) }
        guard let first = batch.first else { return }
        let begin = ContinuousClock.now
        let failure = await watch.over(first, on: open.transaction.connection) {
            await invoke { try await body(batch, context(first, 1, open)) }
        }
        try await check(failure)
        if failure != nil { throw Interruption.needsCare }
        let each = (ContinuousClock.now - begin) / batch.count
        for event in batch { open.tally.processed(event, attempt: 1, in: each) }
    }

    // MARK: Events whose time has come again

    /// Handles the heads of streams that wait, and what waits behind each, in order, as far as one transaction goes.
    func handle(_ due: [DueEvent], upTo checkpoint: Position, _ waiting: WaitingStreams) async throws -> Result {
        try await inTransaction(waiting) { open in
            var left = takesFollowers ? handler.options.batchSize : 0
            for due in due where open.stop == nil {
                if due.isDiscarded {
                    open.tally.discarded(due.event, attempts: due.attempts, because: due.reason)
                } else {
                    try await handleAlone(due.event, attempt: due.attempts + 1, waiting: due.waiting, &open)
                }
                guard open.stop == nil, open.tally.wasSettled(due.event) else { continue }
                try await handleFollowers(of: due.event, upTo: checkpoint, &left, &open)
            }
            try await settle(&open, to: checkpoint, storedAt: nil)
        }
    }

    private func handleFollowers(
        of head: RecordedEvent,
        upTo checkpoint: Position,
        _ left: inout Int,
        _ open: inout Open
    ) async throws {
        let stream = head.stream
        var version = head.version
        while true {
            let page = try await store.readStreamPage(
                stream,
                from: version + 1,
                through: nil,
                direction: .forwards,
                limit: handler.options.batchSize,
                in: open.transaction
            )
            for event in page {
                // What lies behind the checkpoint comes by itself.
                guard event.position <= checkpoint else { return free(stream, &open) }
                version = event.version
                guard handler.filter.wants(event) else { continue }
                let behind = max(0, (open.waiting[stream] ?? 1) - 1)
                open.waiting[stream] = behind
                guard left > 0 else {
                    open.wait = .zero
                    return open.tally.isNext(event, waiting: behind)
                }
                left -= 1
                try await handleAlone(event, attempt: 1, waiting: behind, &open)
                if open.stop != nil { return open.tally.isNext(event, waiting: behind) }
                if !open.tally.wasSettled(event) { return }
            }
            if page.count < handler.options.batchSize { return free(stream, &open) }
        }
    }

    private func free(_ stream: StreamID, _ open: inout Open) {
        open.waiting[stream] = nil
        open.tally.freed(stream)
    }

    // MARK: Events that are handled once more

    /// Handles events of a replay, each in a savepoint of its own, and moves the replay's place in the lane to `end`. What fails is undone and
    /// counted; nothing waits for it, and nothing else of the lane moves.
    func replay(_ events: [RecordedEvent], of replay: LaneReplay, to end: Position, _ waiting: WaitingStreams)
        async throws -> Result
    {
        try await inTransaction(waiting) { open in
            open.replay = replay.id
            for event in events {
                let begin = ContinuousClock.now
                setSavepoint(&open)
                var found = try await failure(of: event, attempt: 1, open)
                if found == nil { found = try await unseenFailure(&open) }
                if let found {
                    try await undo(found, open)
                    open.tally.failedAgain(event, found, in: .now - begin)
                } else {
                    open.tally.processed(event, attempt: 1, in: .now - begin)
                }
            }
            guard watch.isInForce else { throw Interruption.abandoned }
            let call = open.tally.call(handler.name, lease, replay: replay.id, to: end, worker: worker)
            try await open.transaction.query(call.statement, call.parameters)
        }
    }

    private static let replayEvent: PostgresStatement = "SELECT millrace.replay_event($1, $2, $3)"

    /// The answer of a function of the database, whose words are those of the outcomes.
    private func answer(to event: RecordedEvent, in transaction: PostgresTransaction) async throws -> HandlerOutcome {
        let answer = try await transaction.query(
            LaneBatch.replayEvent,
            [.text(handler.name), .int8(event.position.rawValue), .timestamptz(event.createdAt)]
        ).single().decode(String?.self, at: 0)
        guard let answer, answer != "done" else { return .done }
        return .retry(because: "the function answered \(answer)")
    }

    // MARK: One event

    private func handleAlone(_ event: RecordedEvent, attempt: Int, waiting: Int, _ open: inout Open) async throws {
        let begin = ContinuousClock.now
        if care > .none { setSavepoint(&open) }
        var found = try await failure(of: event, attempt: attempt, open)
        if found == nil { found = try await unseenFailure(&open) }
        let time = ContinuousClock.now - begin
        guard let found else { return open.tally.processed(event, attempt: attempt, in: time) }
        try await undo(found, open)
        setAside(event, attempt: attempt, found, waiting: waiting, in: time, &open)
    }

    /// Handles an event, and says how it failed.
    private func failure(of event: RecordedEvent, attempt: Int, _ open: Open) async throws -> HandlerFailure? {
        if let condemned = condemned[event.position] { return condemned }
        let context = context(event, attempt, open)
        let failure = await watch.over(event, on: open.transaction.connection) {
            await invoke {
                switch handler.work {
                case .each(let body): try await body(event, context)
                case .batch(let body): try await body([event], context)
                case .function: try await answer(to: event, in: open.transaction)
                }
            }
        }
        try await check(failure)
        return failure
    }

    /// What becomes of an event that failed and was undone.
    private func setAside(
        _ event: RecordedEvent,
        attempt: Int,
        _ failure: HandlerFailure,
        waiting: Int,
        in time: Duration,
        _ open: inout Open
    ) {
        if case .stop = failure.consequence {
            open.stop = (failure.message, event)
            return
        }
        let wait = handler.options.retry.wait(afterAttempt: attempt, failure)
        if let wait { open.wait = min(open.wait ?? wait, wait) }
        open.waiting[event.stream] = waiting
        open.tally.failed(event, attempt: attempt, failure, wait: wait, waiting: waiting, in: time)
        log(event, attempt, failure, wait)
    }

    private func log(_ event: RecordedEvent, _ attempt: Int, _ failure: HandlerFailure, _ wait: Duration?) {
        func details() -> Logger.Metadata {
            var details = HandlerContext.details(event, handler.name, lease.lane, attempt)
            details["error"] = "\(failure.message)"
            details["error_kind"] = "\(failure.kind)"
            details["retry_in"] = wait.map { "\($0)" }
            return details
        }
        if wait == nil {
            logger.error(
                "an event could not be handled; it is parked, with what follows in its stream",
                metadata: details()
            )
        } else {
            logger.warning("an event could not be handled; it is tried again", metadata: details())
        }
    }

    private func invoke(_ body: () async throws -> HandlerOutcome) async -> HandlerFailure? {
        do {
            return HandlerFailure(try await body())
        } catch {
            return HandlerFailure(error)
        }
    }

    /// What is no failure of the event.
    private func check(_ failure: HandlerFailure?) async throws {
        guard watch.isInForce else { throw Interruption.abandoned }
        try Task.checkCancellation()
        guard let error = failure?.error else { return }
        switch error {
        case let error as PostgresError where error.isConflict: throw Interruption.conflict(error)
        case EventStoreError.postgres(let error) where error.isConflict: throw Interruption.conflict(error)
        default: return
        }
    }

    private static func call(_ words: String, _ savepoint: Int) -> PostgresCall {
        PostgresCall(PostgresStatement("\(words) millrace_event_\(savepoint)", prepared: false))
    }

    /// Sent, not awaited: the event's own statements follow it on the connection.
    private func setSavepoint(_ open: inout Open) {
        let release = open.hasSavepoint ? [LaneBatch.call("RELEASE SAVEPOINT", open.savepoints)] : []
        open.savepoints += 1
        open.hasSavepoint = true
        open.transaction.connection.post(release + [LaneBatch.call("SAVEPOINT", open.savepoints)])
    }

    /// A handler that went on after a statement had failed has nothing to show for it.
    private func unseenFailure(_ open: inout Open) async throws -> HandlerFailure? {
        guard care == .awaitedSavepoints else { return nil }
        do {
            try await open.transaction.pipeline([LaneBatch.call("RELEASE SAVEPOINT", open.savepoints)])
            open.hasSavepoint = false
            return nil
        } catch PostgresError.server(let error) where error.sqlState == .inFailedTransaction {
            return HandlerFailure(
                message: "the handler returned although a statement of its transaction had failed",
                kind: "SQLSTATE \(error.sqlState)",
                consequence: .retry(after: nil)
            )
        }
    }

    /// Where the connection does not even do this, the failure was its own and not the event's.
    private func undo(_ failure: HandlerFailure, _ open: Open) async throws {
        guard care > .none else { throw Interruption.needsCare }
        do {
            try await open.transaction.pipeline([LaneBatch.call("ROLLBACK TO SAVEPOINT", open.savepoints)])
        } catch PostgresError.server(let error) where error.sqlState == .invalidSavepoint {
            // The transaction had failed before the event began: the failure is another's.
            throw Interruption.needsCare
        }
    }

    private func context(_ event: RecordedEvent, _ attempt: Int, _ open: Open) -> HandlerContext {
        HandlerContext(
            transaction: open.transaction,
            store: store,
            handler: handler.name,
            lane: lease.lane,
            attempt: attempt,
            baseLogger: logger,
            event: event,
            replay: open.replay,
            publishing: open.publishing
        )
    }

    // MARK: The transaction

    private func inTransaction(_ waiting: WaitingStreams, _ body: (inout Open) async throws -> Void) async throws
        -> Result
    {
        let limit = PostgresCall(LaneBatch.limitIdle, [.text("\(idleLimit.milliseconds)ms")])
        let (result, hasAppended) = try await store.client.withTransaction { transaction in
            transaction.connection.post([limit])
            var open = Open(transaction: transaction, tally: LaneTally(audit: handler.options.audit), waiting: waiting)
            do {
                try await body(&open)
            } catch let error as PostgresError {
                throw interruption(error) ?? error
            } catch EventStoreError.postgres(let error) {
                throw interruption(error) ?? error
            }
            return (
                Result(
                    waiting: open.waiting,
                    processed: open.tally.processed,
                    hasFailures: open.tally.hasFailures,
                    wait: open.wait,
                    stop: open.stop
                ),
                open.publishing.hasAppended.load(ordering: .relaxed)
            )
        }
        if hasAppended { store.announce(.start) }
        return result
    }

    private static let limitIdle: PostgresStatement =
        "SELECT set_config('idle_in_transaction_session_timeout', $1, true)"

    /// A process that is stopped in the middle of a transaction must not keep for longer what that holds: rows that the lane's next worker
    /// needs, and the horizon, where something was appended. Longer than a handler may take between two statements.
    private var idleLimit: Duration { handler.options.timeout + LaneWatch.grace * 5 }

    private func settle(_ open: inout Open, to position: Position, storedAt: Date?) async throws {
        guard watch.isInForce else { throw Interruption.abandoned }
        if let stop = open.stop {
            try await open.transaction.query(LaneBatch.stopHandler, [.text(handler.name), .text(stop.reason)])
        }
        let call = try open.tally.call(handler.name, lease, to: position, storedAt: storedAt, worker: worker)
        try await open.transaction.query(call.statement, call.parameters)
    }

    private func interruption(_ error: PostgresError) -> Interruption? {
        switch error.sqlState {
        case .inFailedTransaction where care < .awaitedSavepoints: .needsCare
        case .millraceLeaseLost: .leaseLost
        case .millraceReplayCancelled: .replayCancelled
        case .millraceTooManyParked: .tooManyParked("\(error)")
        default: error.isConflict ? .conflict(error) : nil
        }
    }
}

extension PostgresError {
    /// Whether the same transaction, run again, may succeed.
    var isConflict: Bool {
        guard case .server = self else { return false }
        return sqlState == .serializationFailure || sqlState == .deadlockDetected
    }
}
