import Logging
import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One lane of a handler for as long as this process has it: reads the log from the checkpoint on, handles what is the lane's, and what
/// was set aside when its time has come.
final class LaneRun: Sendable {
    /// How a hold of a lane ended.
    enum End: Sendable, Hashable {
        /// Nothing is under way; up to there it was looked through.
        case finished(at: Position?)
        /// Somebody else has it.
        case lost
        /// The handler gets other events by now than this process knows of.
        case superseded
    }

    /// What the lane knows, and may only change with a commit.
    private struct State {
        var position: Position
        /// How far a function's lane was looked through. Only its own run says what of that it was given: it may have stopped before, or been
        /// paused.
        var seen = Position.start
        var waiting: WaitingStreams
        /// When something that waits is due; nil: nothing is.
        var due: ContinuousClock.Instant?
        var replay: LaneReplay?
        /// Transactions that still take care, because an event failed a short while ago.
        var care = LaneBatch.Care.none
        var careLeft = 0
        var conflicts = 0
    }

    /// After a failure so many transactions have savepoints from the beginning.
    private static let careAfterFailure = 32
    /// How often in a row PostgreSQL may end a conflict before it counts as a failure of the lane's work.
    private static let conflictLimit = 20
    /// How soon a function is run again where events were seen that it was not given, or that are none of its own.
    private static let functionBeat = Duration.seconds(2)
    /// The same where it has to come up with the generation that serves.
    private static let projectionBeat = Duration.milliseconds(200)
    /// How often in a row a function's run may fail, by itself and with PostgreSQL well, before the handler is stopped.
    private static let functionFailures = 10
    /// Retries come together: not more often than this while there are some.
    private static let dueBeat = Duration.milliseconds(500)
    /// Retries that are handled before new events come again.
    private static let dueAtOnce: Int32 = 100
    /// What the events of a transaction of a projection may take in memory.
    private static let gatheredBytes = 4 << 20
    private static let backoff = PostgresBackoff(initial: .milliseconds(50), maximum: .seconds(2))

    let handler: Handler
    let lease: LaneLease
    let inbox: LaneInbox
    /// Settled so far.
    private let transactions = Atomic<UInt64>(0)
    private let store: EventStore
    private let worker: String
    private let gate: LaneGate
    private let overseer: LaneOverseer
    private let meter: HandlerMeter
    private let followed: FollowedLanes?
    private let logger: Logger

    init(
        _ handler: Handler,
        _ lease: LaneLease,
        store: EventStore,
        worker: String,
        gate: LaneGate,
        meter: HandlerMeter,
        followed: FollowedLanes?,
        logger: Logger
    ) {
        self.handler = handler
        self.lease = lease
        self.store = store
        self.worker = worker
        self.gate = gate
        self.meter = meter
        self.followed = followed
        self.logger = logger
        inbox = LaneInbox(client: store.client, pageLimit: handler.isOfProjection ? 1 : LaneInbox.pageLimit)
        overseer = LaneOverseer(client: store.client, limit: handler.options.timeout) { event in
            logger.error(
                "a handler did not return, and is left alone",
                metadata: HandlerContext.details(event, handler.name, lease.lane, 1)
            )
        }
    }

    /// Returns when the lane was stopped, or lost. An outage is waited for.
    func run() async -> End {
        var failures = 0
        var reached: UInt64 = 0
        while true {
            var isLoaded = false
            do {
                guard var state = try await load() else { return .superseded }
                isLoaded = true
                try await follow(&state)
                return .finished(at: inbox.idlePosition)
            } catch LaneBatch.Interruption.leaseLost {
                return .lost
            } catch PostgresError.outcomeUnknown(let reason) {
                // The COMMIT may still be on its way, and under the same token it would be taken beside whatever is done again. So the
                // lane is given back, and goes on under the next one: then the first is in the checkpoint, or refused.
                inbox.setIdle(at: nil)
                logger.info(
                    "a lane is leased anew, because the outcome of its last transaction is unknown",
                    metadata: ["handler": "\(handler.name)", "lane": "\(lease.lane)", "error": "\(reason)"]
                )
                return .finished(at: nil)
            } catch {
                inbox.setIdle(at: nil)
                if inbox.isStopping || Task.isCancelled { return .finished(at: nil) }
                // Only what was settled in between tells that it goes on.
                let settled = transactions.load(ordering: .relaxed)
                if settled > reached { failures = 0 }
                reached = settled
                failures += 1
                report(error, failures)
                if isLoaded, failures >= LaneRun.functionFailures, case .function = handler.work {
                    await stopHandler("its function cannot be run in lane \(lease.lane): \(error)")
                    return .finished(at: nil)
                }
                guard await inbox.pause(LaneRun.backoff.delay(afterFailure: failures)) else {
                    return .finished(at: nil)
                }
            }
        }
    }

    private func report(_ error: any Error, _ failures: Int) {
        let details: Logger.Metadata = [
            "handler": "\(handler.name)", "lane": "\(lease.lane)", "error": "\(error)", "failures": "\(failures)",
        ]
        let isOutage =
            switch error {
            case let error as PostgresError: error.isOutage
            case EventStoreError.postgres(let error): error.isOutage
            default: false
            }
        if isOutage {
            logger.info("a lane waits for PostgreSQL", metadata: details)
        } else {
            logger.error("a lane begins again from its checkpoint", metadata: details)
        }
    }

    // MARK: What the database says

    private static let loadLane: PostgresStatement = """
        SELECT l.checkpoint, h.event_types, h.aggregate_types
        FROM millrace.handler_lanes AS l
        JOIN millrace.event_handlers AS h ON h.handler_id = l.handler_id
        WHERE l.handler_id = $1 AND l.lane = $2 AND l.token = $3
        """
    private static let loadWaiting: PostgresStatement = """
        SELECT p.aggregate_type, p.aggregate_id, p.waiting FROM millrace.parked_events AS p WHERE p.handler_id = $1 AND p.lane = $2
        """
    private static let loadNextDue: PostgresStatement = """
        SELECT extract(epoch FROM min(p.next_attempt_at) - clock_timestamp())::float8
        FROM millrace.parked_events AS p
        WHERE p.handler_id = $1 AND p.lane = $2
        """
    private static let loadDue: PostgresStatement = """
        SELECT status, attempts, waiting, edited_data, discard_reason,
               id, event_id, event_type, aggregate_type, aggregate_id, version,
               event_data, metadata, occurred_at, created_at, payload, content_type
        FROM millrace.due_events($1, $2, $3)
        """
    private static let dueColumns = 5

    /// nil where the handler gets other events by now.
    private func load() async throws -> State? {
        let client = store.client
        guard
            let row = try await client.query(
                LaneRun.loadLane,
                [.text(handler.name), .int4(Int32(lease.lane)), .int8(lease.token)]
            ).first
        else { throw LaneBatch.Interruption.leaseLost }
        // A filter is changed together with the tokens, so that this one holds for as long as the lease does.
        let filter = EventFilter(
            eventTypes: try row.decode([String]?.self, at: 1),
            aggregateTypes: try row.decode([String]?.self, at: 2)
        )
        guard filter.finds(theSameAs: handler.filter) else { return nil }
        var state = State(position: Position(try row.decode(Int64.self, at: 0)), waiting: [:])
        try await loadWaiting(&state)
        try await loadReplay(&state)
        return state
    }

    private func loadReplay(_ state: inout State) async throws {
        state.replay = try await LaneReplay.next(of: handler.name, lane: lease.lane, in: store.client)
    }

    private func loadWaiting(_ state: inout State) async throws {
        let rows = try await store.client.query(
            LaneRun.loadWaiting,
            [.text(handler.name), .int4(Int32(lease.lane))]
        )
        for row in rows {
            let stream = StreamID(try row.decode(String.self, at: 0), try row.decode(String.self, at: 1))
            state.waiting[stream] = Int(try row.decode(Int64.self, at: 2))
        }
        try await loadNextDue(&state)
    }

    /// Which streams wait only this lane changes; when they are due an operator does too. One round trip, none where nothing waits.
    private func loadNextDue(_ state: inout State) async throws {
        state.due = nil
        guard !state.waiting.isEmpty else { return }
        let seconds = try await store.client.query(
            LaneRun.loadNextDue,
            [.text(handler.name), .int4(Int32(lease.lane))]
        ).single().decode(Double?.self, at: 0)
        state.due = seconds.map { .now + .seconds(max(0, $0)) }
    }

    // MARK: Following the log

    private func follow(_ state: inout State) async throws {
        inbox.clear()
        let pages = store.subscribeToStoredPages(from: .after(state.position), matching: handler.filter)
        var current = state
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in await read(pages) }
            defer {
                pages.stop()
                group.cancelAll()
            }
            try await work(&current)
        }
        state = current
    }

    private func read(_ pages: PageSubscription) async {
        do {
            var gathered = LanePage(events: [], scannedTo: .start)
            for try await page in pages {
                gathered.events += page.events.lazy.filter { $0.lane(of: handler.options.lanes) == lease.lane }
                gathered.scannedTo = page.scannedTo
                // A projection is written in large transactions; everything else waits for no company.
                if handler.isOfProjection, !page.isLast, gathered.events.count < handler.options.batchSize,
                    gathered.byteCount < LaneRun.gatheredBytes
                {
                    continue
                }
                try await deliver(gathered)
                gathered.events = []
            }
        } catch is CancellationError {
            return
        } catch {
            inbox.fail(error)
        }
    }

    /// Hands a page over, no further than the generation of the projection that serves has come in this lane.
    private func deliver(_ page: LanePage) async throws {
        guard let followed else { return await inbox.put(page) }
        var rest = page
        var passed = Position.start
        while let limit = try await followed.limit(of: lease.lane), limit < rest.scannedTo {
            if limit > passed {
                passed = limit
                await inbox.put(LanePage(events: rest.events.filter { $0.position <= limit }, scannedTo: limit))
                rest.events.removeAll { $0.position <= limit }
            }
            try await Task.sleep(for: FollowedLanes.beat)
        }
        await inbox.put(rest)
    }

    private func work(_ state: inout State) async throws {
        inbox.setIdle(at: state.position)
        var rested = ContinuousClock.now
        while true {
            if let due = state.due, max(due, rested) <= .now {
                inbox.setIdle(at: nil)
                let wasAll =
                    if case .function = handler.work { try await runFunction(&state) } else {
                        try await handleDue(&state)
                    }
                inbox.setIdle(at: state.position)
                if inbox.isStopping { return }
                if wasAll { rested = .now + LaneRun.dueBeat }
            }
            if state.replay != nil {
                inbox.setIdle(at: nil)
                try await replay(&state)
                inbox.setIdle(at: state.position)
                if inbox.isStopping { return }
            }
            // New events and the rest of a replay take turns.
            var wait = state.replay == nil ? state.due.map { max(.zero, max($0, rested) - .now) } : .zero
            if state.seen > state.position {
                let beat = handler.isOfProjection ? LaneRun.projectionBeat : LaneRun.functionBeat
                wait = min(wait ?? beat, beat)
            }
            switch await inbox.next(within: wait) {
            case .stop: return
            case .look: try await look(&state)
            case .failed(let error): throw error
            case .page(let first):
                inbox.setIdle(at: nil)
                try await handle(gather(first), &state)
                if inbox.isStopping { return }
                inbox.setIdle(at: state.position)
            }
        }
    }

    /// An operator may have changed when something is due, or where a function in the database stands.
    private func look(_ state: inout State) async throws {
        if case .function = handler.work {
            try await loadWaiting(&state)
            if state.seen > state.position { _ = try await runFunction(&state) }
        } else {
            try await loadNextDue(&state)
        }
        try await loadReplay(&state)
    }

    /// Handles a page of a replay; what cannot be committed together comes one by one.
    private func replay(_ state: inout State) async throws {
        guard let replay = state.replay else { return }
        let page = try await replay.page(of: handler, lane: lease.lane, in: store)
        do {
            let done = try await transact(page.events, atLeast: .savepoints, &state) { batch, waiting in
                try await batch.replay(page.events, of: replay, to: page.scannedTo, waiting)
            }
            if done == nil {
                for event in page.events where !inbox.isStopping {
                    _ = try await transact([event], atLeast: .savepoints, &state) { batch, waiting in
                        try await batch.replay([event], of: replay, to: event.position, waiting)
                    }
                }
            }
        } catch LaneBatch.Interruption.replayCancelled {
            logger.info("a replay was cancelled", metadata: ["handler": "\(handler.name)", "replay": "\(replay.id)"])
        }
        try await loadReplay(&state)
    }

    private static let runStatement: PostgresStatement = """
        SELECT handled, failed, checkpoint, is_last, extract(epoch FROM next_due - clock_timestamp())::float8
        FROM millrace.run_sql_handler($1, $2, $3, $4, $5)
        """

    /// Lets a function in the database handle what there is, a transaction at a time.
    ///
    /// No time can be limited for one event within a statement: a call that takes too long is undone as a whole, and made again for fewer events.
    /// Where one alone takes too long the handler is stopped before it.
    /// - Returns: whether that was all.
    private func runFunction(_ state: inout State) async throws -> Bool {
        var limit = handler.options.batchSize
        while true {
            do {
                if try await callFunction(atMost: limit, &state) { return true }
                limit = min(limit * 2, handler.options.batchSize)
            } catch PostgresError.timedOut(let time) where limit > 1 {
                logger.warning(
                    "a function took too long over some events, and is tried with fewer",
                    metadata: [
                        "handler": "\(handler.name)", "lane": "\(lease.lane)", "events": "\(limit)", "time": "\(time)",
                    ]
                )
                limit = max(1, limit / 8)
            } catch PostgresError.timedOut(let time) {
                await stopHandler(
                    "its function did not return within \(time), in lane \(lease.lane) after position \(state.position)"
                )
                return false
            }
            if inbox.isStopping { return false }
        }
    }

    private func callFunction(atMost limit: Int, _ state: inout State) async throws -> Bool {
        await gate.enter()
        defer { gate.leave() }
        let begin = ContinuousClock.now
        let row: PostgresRow
        do {
            row = try await store.client.withConnection { connection in
                // Whatever the function has SET would meet the next user of the connection.
                defer { connection.resetSettings() }
                return try await connection.query(
                    LaneRun.runStatement,
                    [
                        .text(handler.name), .int4(Int32(lease.lane)), .int8(lease.token), .text(worker),
                        .int4(Int32(clamping: limit)),
                    ],
                    timeout: handler.options.timeout
                ).single()
            }
        } catch let error as PostgresError where error.sqlState == .millraceLeaseLost {
            throw LaneBatch.Interruption.leaseLost
        }
        let before = state.position
        meter.settled(
            events: Int(try row.decode(Int32.self, at: 0)),
            failed: Int(try row.decode(Int32.self, at: 1)),
            in: .now - begin
        )
        state.position = max(state.position, Position(try row.decode(Int64.self, at: 2)))
        if state.position > before { transactions.add(1, ordering: .relaxed) }
        state.due = try row.decode(Double?.self, at: 4).map { .now + .seconds(max(0, $0)) }
        return try row.decode(Bool.self, at: 3)
    }

    /// As many pages as make a transaction, of those that are there.
    private func gather(_ first: LanePage) -> LanePage {
        var page = first
        while page.events.count < handler.options.batchSize, let next = inbox.nextPage() {
            page.events += next.events
            page.scannedTo = next.scannedTo
        }
        return page
    }

    private func handle(_ page: LanePage, _ state: inout State) async throws {
        if case .function = handler.work {
            state.seen = max(state.seen, page.scannedTo)
            if !page.events.isEmpty, page.scannedTo > state.position { _ = try await runFunction(&state) }
            return
        }
        var rest = page.events[...]
        while !rest.isEmpty {
            let events = Array(rest.prefix(handler.options.batchSize))
            rest = rest.dropFirst(events.count)
            let end = rest.isEmpty ? page.scannedTo : events[events.count - 1].position
            try await handle(events, to: end, &state)
            if inbox.isStopping { return }
        }
        state.position = page.scannedTo
    }

    private func handle(_ events: [RecordedEvent], to end: Position, _ state: inout State) async throws {
        let start = state.position
        let done = try await transact(events, &state) { batch, waiting in
            try await batch.handle(events, to: LanePage(events: events, scannedTo: end), from: start, waiting)
        }
        guard let done else {
            // Together they cannot be committed, and nobody knows whose fault it is.
            for event in events {
                try await handle([event], to: event.position, &state)
                // One of them may have stopped the handler: what comes behind it must not be settled.
                if inbox.isStopping { return }
            }
            state.position = end
            return
        }
        if done.stop == nil { state.position = end }
    }

    /// - Returns: whether that was all that is due.
    private func handleDue(_ state: inout State) async throws -> Bool {
        let rows = try await store.client.query(
            LaneRun.loadDue,
            [.text(handler.name), .int4(Int32(lease.lane)), .int4(LaneRun.dueAtOnce)]
        )
        let due = try rows.map { try LaneRun.due($0) }
        let done = due.isEmpty ? nil : try await transactDue(due, &state)
        if done == nil {
            for one in due where !inbox.isStopping { _ = try await transactDue([one], &state) }
        }
        try await loadNextDue(&state)
        return due.count < Int(LaneRun.dueAtOnce)
    }

    /// They have failed before, so that care is taken from the beginning.
    private func transactDue(_ due: [DueEvent], _ state: inout State) async throws -> LaneBatch.Result? {
        let checkpoint = state.position
        return try await transact(due.map(\.event), atLeast: .savepoints, &state) { batch, waiting in
            try await batch.handle(due, upTo: checkpoint, waiting)
        }
    }

    private static func due(_ row: PostgresRow) throws -> DueEvent {
        var event = try RecordedEvent(row, firstColumn: dueColumns)
        if let edited = try row.decode([UInt8]?.self, at: 3) { event = event.replacing(JSON(utf8: edited)) }
        return DueEvent(
            event: event,
            attempts: Int(try row.decode(Int32.self, at: 1)),
            waiting: Int(try row.decode(Int64.self, at: 2)),
            isDiscarded: try row.decode(String.self, at: 0) == "discarding",
            reason: try row.decode(String?.self, at: 4)
        )
    }

    // MARK: One transaction

    private typealias Attempt = @Sendable (LaneBatch, WaitingStreams) async throws -> LaneBatch.Result

    /// Runs a transaction until it commits, with more care each time that something in it fails.
    /// - Returns: nil where several events cannot be committed together.
    private func transact(
        _ events: [RecordedEvent],
        atLeast least: LaneBatch.Care = .none,
        _ state: inout State,
        _ attempt: @escaping Attempt
    ) async throws -> LaneBatch.Result? {
        await store.vault?.prepare(events)
        var care = max(least, state.careLeft > 0 ? state.care : .none)
        var condemned: [Position: HandlerFailure] = [:]
        var takesFollowers = least > .none
        while true {
            let watch = LaneWatch()
            let batch = LaneBatch(
                handler: handler,
                store: store,
                lease: lease,
                worker: worker,
                logger: logger,
                watch: watch,
                care: care,
                takesFollowers: takesFollowers,
                condemned: condemned
            )
            let waiting = state.waiting
            let begin = ContinuousClock.now
            await gate.enter()
            let ended = await overseer.run(watch) { try await attempt(batch, waiting) }
            gate.leave()
            switch ended {
            case .returned(.success(let result)):
                meter.settled(
                    events: result.processed,
                    failed: max(0, result.waiting.count - waiting.count),
                    in: .now - begin
                )
                transactions.add(1, ordering: .relaxed)
                state.conflicts = 0
                state.careLeft = result.hasFailures ? LaneRun.careAfterFailure : max(0, state.careLeft - 1)
                state.waiting = result.waiting
                if let wait = result.wait { state.due = min(state.due ?? .now + wait, .now + wait) }
                if let stop = result.stop { await stopped(stop.reason) }
                return result
            case .overdue(let event): condemn(event, &condemned, &care)
            case .returned(.failure(let error)):
                if let event = watch.condemned {
                    condemn(event, &condemned, &care)
                    break
                }
                switch error {
                case LaneBatch.Interruption.needsCare:
                    care = care == .none ? .savepoints : .awaitedSavepoints
                    state.care = care
                    state.careLeft = LaneRun.careAfterFailure
                case LaneBatch.Interruption.conflict(let conflict): try await yield(to: conflict, &state)
                // It showed only at the COMMIT.
                case let conflict as PostgresError where conflict.isConflict: try await yield(to: conflict, &state)
                case LaneBatch.Interruption.tooManyParked(let reason):
                    await stopHandler(reason)
                    throw error
                case PostgresError.server(let server) where !PostgresError.server(server).isOutage:
                    // What only shows at the end, such as a constraint that is deferred to the commit.
                    if care < .awaitedSavepoints {
                        care = .awaitedSavepoints
                    } else if events.count > 1 {
                        return nil
                    } else if takesFollowers {
                        takesFollowers = false
                    } else if condemned.isEmpty, let event = events.first {
                        condemned[event.position] = HandlerFailure(PostgresError.server(server))
                    } else {
                        throw error
                    }
                default: throw error
                }
            }
            if inbox.isStopping { throw CancellationError() }
        }
    }

    /// Lets the other one of a conflict go first.
    private func yield(to conflict: PostgresError, _ state: inout State) async throws {
        state.conflicts += 1
        guard state.conflicts <= LaneRun.conflictLimit else { throw conflict }
        guard await inbox.pause(LaneRun.backoff.delay(afterFailure: min(state.conflicts, 3))) else {
            throw CancellationError()
        }
    }

    private func condemn(
        _ event: RecordedEvent,
        _ condemned: inout [Position: HandlerFailure],
        _ care: inout LaneBatch.Care
    ) {
        let wereTogether = care == .none && condemned.isEmpty
        care = max(care, .savepoints)
        // Which of a batch took so long shows when they come one by one.
        if case .batch = handler.work, wereTogether { return }
        condemned[event.position] = HandlerFailure(
            message: "the handler did not return within \(handler.options.timeout)",
            kind: "timeout",
            consequence: .retry(after: nil)
        )
    }

    private func stopHandler(_ reason: String) async {
        do {
            try await store.client.query(LaneBatch.stopHandler, [.text(handler.name), .text(reason)])
            await stopped(reason)
        } catch {
            logger.error(
                "a handler could not be stopped",
                metadata: ["handler": "\(handler.name)", "reason": "\(reason)", "error": "\(error)"]
            )
        }
    }

    private func stopped(_ reason: String) async {
        logger.error("a handler has stopped", metadata: ["handler": "\(handler.name)", "reason": "\(reason)"])
        inbox.stop()
    }
}
