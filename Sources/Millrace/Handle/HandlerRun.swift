import Logging
import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One handler in this process: says at every beat that it is there, takes lanes, gives them back.
final class HandlerRun: Sendable {
    private struct Hold {
        let run: LaneRun
        let task: Task<Void, Never>
    }

    private struct State {
        var holds: [Int: Hold] = [:]
        /// Of lanes that were lost and leased again before their tasks had ended.
        var former: [ObjectIdentifier: Hold] = [:]
        /// Lanes whose tasks have ended, to be given back.
        var finished: [(lease: LaneLease, end: LaneRun.End)] = []
        var isStopping = false
    }

    /// What the database answered for one lane.
    private enum Verdict {
        case held(Int)
        case leased(LaneLease)
        case surrender(Int)
        case lost(Int)

        /// nil for the row that only tells the handler's state.
        init?(_ row: PostgresRow) throws {
            let word = try row.decode(String.self, at: 0)
            guard word != "handler" else { return nil }
            let lane = Int(try row.decode(Int32.self, at: 1))
            switch word {
            case "held": self = .held(lane)
            case "leased": self = .leased(LaneLease(lane: lane, token: try row.decode(Int64.self, at: 2)))
            case "surrender": self = .surrender(lane)
            case "lost": self = .lost(lane)
            default:
                throw EventStoreError.notMigrated("lease_lanes answered “\(word)”, which this version does not know")
            }
        }
    }

    /// As the lanes work with it.
    let handler: Handler
    private let given: Handler
    private let worker: UUID
    private let store: EventStore
    private let options: WorkerOptions
    private let gate: LaneGate
    private let meter: HandlerMeter
    private let logger: Logger
    private let bell: LaneInbox
    private let followed: FollowedLanes?
    private let state = Mutex(State())

    init(
        _ handler: Handler,
        worker: UUID,
        store: EventStore,
        options: WorkerOptions,
        gate: LaneGate,
        logger: Logger
    ) {
        given = handler
        self.handler = handler.lifting(with: store.upcasters, opening: store.vault)
        self.worker = worker
        self.store = store
        self.options = options
        self.gate = gate
        self.logger = logger
        meter = HandlerMeter(handler.name)
        bell = LaneInbox(client: store.client)
        followed =
            handler.isOfProjection
            ? FollowedLanes(handler.name, lanes: handler.options.lanes, client: store.client) : nil
    }

    var lanes: [Int] { state.withLock { $0.holds.keys.sorted() } }

    func look() {
        bell.look()
        for hold in state.withLock({ Array($0.holds.values) }) { hold.run.inbox.look() }
    }

    func stop() {
        state.withLock { $0.isStopping = true }
        bell.stop()
    }

    // MARK: Registering

    private static let registerHandler: PostgresStatement = """
        SELECT millrace.register_handler($1, $2, NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """
    /// A generation's was registered with it, and may be gone.
    private static let registerAgain: PostgresStatement = """
        SELECT millrace.register_handler(h.handler_id, $2, NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        FROM millrace.event_handlers AS h
        WHERE h.handler_id = $1
        """

    func register() async throws {
        if case .function = handler.work { return }
        try given.check(against: store.upcasters)
        let beginning: Int64? =
            switch handler.options.beginning {
            case .start: 0
            case .end: nil
            case .after(let position): position.rawValue
            }
        let retry = handler.options.retry
        try await EventStoreError.translating {
            _ = try await store.client.query(
                handler.isOfProjection ? HandlerRun.registerAgain : HandlerRun.registerHandler,
                [
                    .text(handler.name), .text("swift"), .textArray(handler.filter.eventTypes),
                    .textArray(handler.filter.aggregateTypes), .int4(Int32(handler.options.lanes)), .int8(beginning),
                    .text(handler.options.audit.rawValue), .int4(Int32(clamping: retry.attempts)),
                    .int4(Int32(clamping: retry.backoff.initial.milliseconds)),
                    .int4(Int32(clamping: retry.backoff.maximum.milliseconds)),
                    .int4(Int32(clamping: handler.options.parkedLimit)),
                ]
            )
        }
    }

    // MARK: The beat

    func run() async {
        while true {
            await beat()
            if isStopping { break }
            _ = await bell.next(within: options.beat)
            if isStopping { break }
        }
        await finish()
    }

    private var isStopping: Bool { Task.isCancelled || state.withLock { $0.isStopping } }

    private static let leaseLanes: PostgresStatement = """
        SELECT verdict, lane, token FROM millrace.lease_lanes($1, $2, $3, $4, $5, $6, $7)
        """

    private func beat() async {
        await giveBack(leaving: false)
        let holds = state.withLock { $0.holds.values.sorted { $0.run.lease.lane < $1.run.lease.lane } }
        meter.holds(holds.count, slowestAt: holds.compactMap { $0.run.inbox.idlePosition }.min())
        do {
            let rows = try await store.client.query(
                HandlerRun.leaseLanes,
                [
                    .text(handler.name), .uuid(worker), .text(options.name),
                    .int4(Int32(clamping: options.lease.milliseconds)),
                    .int4Array(holds.map { Int32($0.run.lease.lane) }), .int8Array(holds.map { $0.run.lease.token }),
                    .int8Array(holds.map { $0.run.inbox.idlePosition?.rawValue }),
                ],
                timeout: options.lease
            )
            for verdict in try rows.compactMap(Verdict.init) { act(on: verdict) }
        } catch {
            logger.warning(
                "leases could not be renewed",
                metadata: ["handler": "\(handler.name)", "error": "\(error)"]
            )
        }
    }

    private func act(on verdict: Verdict) {
        switch verdict {
        case .held: break
        case .leased(let lease): start(lease)
        case .surrender(let lane): state.withLock { $0.holds[lane]?.run }?.inbox.stop()
        case .lost(let lane):
            // Nothing that it has under way can be settled any more.
            let hold = state.withLock { $0.holds[lane] }
            hold?.run.inbox.stop()
            hold?.task.cancel()
        }
    }

    private func start(_ lease: LaneLease) {
        let run = LaneRun(
            handler,
            lease,
            store: store,
            worker: options.name,
            gate: gate,
            meter: meter,
            followed: followed,
            logger: logger
        )
        // Under the lock, so that one that ends at once finds its place to leave.
        state.withLock { state in
            let task = Task { [self] in
                let end = await run.run()
                self.state.withLock { state in
                    if state.holds[lease.lane]?.run === run { state.holds[lease.lane] = nil }
                    state.former[ObjectIdentifier(run)] = nil
                    state.finished.append((lease, end))
                }
                if end == .superseded { supersede() }
                bell.look()
            }
            if let former = state.holds[lease.lane] { state.former[ObjectIdentifier(former.run)] = former }
            state.holds[lease.lane] = Hold(run: run, task: task)
        }
    }

    /// Another process has given the handler more events than this one knows of: it must leave them to others, and not go past them.
    private func supersede() {
        let isNews = state.withLock { state in
            defer { state.isStopping = true }
            return !state.isStopping
        }
        guard isNews else { return }
        logger.error(
            "a handler is registered with other events meanwhile, and this process, which does not know of them, handles it no more",
            metadata: ["handler": "\(handler.name)"]
        )
        bell.stop()
    }

    // MARK: Giving back

    private static let releaseLanes: PostgresStatement = "SELECT millrace.release_lanes($1, $2, $3, $4, $5, $6)"

    private func giveBack(leaving: Bool) async {
        let finished = state.withLock { state in
            defer { state.finished = [] }
            return state.finished
        }
        let leases = finished.compactMap { finished -> (LaneLease, Position?)? in
            switch finished.end {
            case .finished(let position): (finished.lease, position)
            case .superseded: (finished.lease, nil)
            case .lost: nil
            }
        }
        guard leaving || !leases.isEmpty else { return }
        do {
            let rows = try await store.client.query(
                HandlerRun.releaseLanes,
                [
                    .text(handler.name), .uuid(worker), .int4Array(leases.map { Int32($0.0.lane) }),
                    .int8Array(leases.map { $0.0.token }), .int8Array(leases.map { $0.1?.rawValue }), .bool(leaving),
                ],
                timeout: options.lease
            )
            if try rows[0].decode(Int32.self, at: 0) > 0 { keep(finished) }
        } catch {
            // Where nothing comes of it, they end by themselves, with their leases.
            keep(finished)
            logger.warning(
                "lanes could not be given back",
                metadata: ["handler": "\(handler.name)", "error": "\(error)"]
            )
        }
    }

    /// To be given back at the next beat; what was given back meanwhile does not mind.
    private func keep(_ finished: [(lease: LaneLease, end: LaneRun.End)]) {
        state.withLock { $0.finished = finished.filter { $0.end != .lost } + $0.finished }
    }

    /// No lane begins anything new; what is under way is finished, or cancelled at the deadline; then all lanes are given back.
    private func finish() async {
        let holds = state.withLock { Array($0.holds.values) + $0.former.values }
        for hold in holds { hold.run.inbox.stop() }
        if Task.isCancelled { for hold in holds { hold.task.cancel() } }
        let deadline = Task {
            do { try await Task.sleep(for: options.stopDeadline) } catch { return }
            for hold in holds { hold.task.cancel() }
            logger.error(
                "what was under way at the deadline was cancelled, and is done again by whoever has the lanes next",
                metadata: ["handler": "\(handler.name)", "lanes": "\(lanes)"]
            )
        }
        for hold in holds {
            await withTaskCancellationHandler {
                await hold.task.value
            } onCancel: {
                hold.task.cancel()
            }
        }
        deadline.cancel()
        await giveBackLast()
    }

    /// Also where this task is cancelled: whoever leaves says so.
    private func giveBackLast() async {
        await Task { await giveBack(leaving: true) }.value
    }
}
