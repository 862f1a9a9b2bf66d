public import Logging
import MillracePostgres
public import ServiceLifecycle
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How a process shares the work with others.
public struct WorkerOptions: Sendable {
    /// Shown to operators. The host's name and the process's id unless told otherwise.
    public var name: String
    /// How long a lane stays with a process that says nothing any more: after a kill its lanes move within this and a beat.
    public var lease: Duration
    /// How often leases are renewed, lanes are shared out and operators' wishes are looked for; hints make it sooner.
    public var beat: Duration
    /// Lanes that handle events at the same time, each on a connection of the store's client; nil: half of its connections, so that
    /// handlers find others. What builds projections has half as many of its own, and so has each that
    /// serves.
    public var lanesAtOnce: Int?
    /// Whether the SQL handlers of the database are run too, as the role of the store's client: those that are registered now, and those
    /// that will be.
    public var runsSQLHandlers: Bool
    /// How long what is under way may take when the worker stops; then it is cancelled, undone, and done again elsewhere.
    public var stopDeadline: Duration

    public init(
        name: String? = nil,
        lease: Duration = .seconds(3),
        beat: Duration = .seconds(1),
        lanesAtOnce: Int? = nil,
        runsSQLHandlers: Bool = false,
        stopDeadline: Duration = .seconds(10)
    ) {
        precondition(beat > .zero && lease >= beat * 2, "a lease is renewed twice at least before it ends")
        precondition(lanesAtOnce ?? 1 > 0, "a worker works on a lane at least")
        self.name = name ?? "\(ProcessInfo.processInfo.hostName):\(ProcessInfo.processInfo.processIdentifier)"
        self.lease = lease
        self.beat = beat
        self.lanesAtOnce = lanesAtOnce
        self.runsSQLHandlers = runsSQLHandlers
        self.stopDeadline = stopDeadline
    }
}

/// Runs handlers in this process, sharing their lanes with every other process that runs handlers of the same names.
///
/// A `Service`: `run()` registers the handlers and works until its task is cancelled, it is shut down gracefully, or ``stop()`` is called.
/// Starting another process, ending one or killing one needs nothing else: the lanes move by themselves, and what a dead process had under
/// way was rolled back with it.
public final class HandlerWorker: Service {
    public let store: EventStore
    public let handlers: [Handler]
    public let options: WorkerOptions
    private let logger: Logger
    private let id = UUID.version7()
    /// Lanes of handlers that work at the same time.
    private let places: Int
    private let gate: LaneGate
    /// While two generations are compared, the lanes of the one that serves are held, in the places that they have: the other, which has to come
    /// up with it meanwhile, needs places that they cannot take.
    private let buildingGate: LaneGate
    private let bell: LaneInbox
    private let keeper: ProjectionKeeper
    private let runs = Mutex<[HandlerRun]>([])

    /// - Parameters:
    ///   - handlers: with different names.
    ///   - projections: that it writes and builds; with those that its store writes inline, which it builds.
    public init(
        _ store: EventStore,
        handlers: [Handler] = [],
        projections: [Projection] = [],
        options: WorkerOptions = WorkerOptions(),
        logger: Logger = Logger(label: "millrace.worker")
    ) {
        precondition(Set(handlers.map(\.name)).count == handlers.count, "two handlers of a worker have the same name")
        var logger = logger
        logger[metadataKey: "worker"] = "\(options.name)"
        self.store = store
        self.handlers = handlers
        self.options = options
        self.logger = logger
        places = options.lanesAtOnce ?? max(1, store.client.configuration.maximumConnections / 2)
        gate = LaneGate(places: places)
        buildingGate = LaneGate(places: max(1, places / 2))
        bell = LaneInbox(client: store.client)
        keeper = ProjectionKeeper(
            store: store,
            projections: projections + (store.inline?.projections ?? []),
            keepsFunctions: options.runsSQLHandlers,
            logger: logger
        )
        for handler in handlers { add(handler) }
    }

    /// Works. Returns after ``stop()`` or a graceful shutdown, when everything is finished or given back; also where other processes have given
    /// more events to all of its handlers, which it leaves to them then.
    ///
    /// - Throws: ``EventStoreError`` where a handler is registered with another filter or number of lanes, or the schema is
    ///   missing; then nothing was handled. `CancellationError` where its task is cancelled. Later failures do not end it: it tries again.
    public func run() async throws {
        for run in all { try await run.register() }
        try await keeper.register()
        await withGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.listen() }
                group.addTask { await self.count() }
                if !keeper.hasNothingToKeep { group.addTask { await self.swapProjections() } }
                await withDiscardingTaskGroup { working in
                    for run in all { working.addTask { await run.run() } }
                    guard options.runsSQLHandlers || !keeper.hasNothingToKeep else { return }
                    while !bell.isStopping, !Task.isCancelled {
                        for run in await newHandlers() {
                            working.addTask {
                                if await self.isRegistered(run) { await run.run() }
                                self.remove(run)
                                self.bell.look()
                            }
                        }
                        _ = await bell.next(within: options.beat)
                    }
                }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.stop()
        }
        try Task.checkCancellation()
    }

    /// Ends ``run()`` in order: nothing new is begun, what is under way is finished, the lanes go to the others at once.
    public func stop() {
        bell.stop()
        for run in all { run.stop() }
    }

    /// Lanes that it has at the moment, by handler.
    public var lanes: [String: [Int]] {
        Dictionary(uniqueKeysWithValues: all.map { ($0.handler.name, $0.lanes) })
    }

    /// Of each generation that serves: while it is held for another to come up with it, it keeps the places that it has, and no handler's.
    private var servingGate: LaneGate { LaneGate(places: max(1, places / 2)) }

    private var all: [HandlerRun] { runs.withLock { $0 } }

    @discardableResult
    private func add(_ handler: Handler) -> HandlerRun {
        let run = HandlerRun(
            handler,
            worker: id,
            store: store,
            options: options,
            gate: handler.isBuilding ? buildingGate : handler.isOfProjection ? servingGate : gate,
            logger: logger
        )
        runs.withLock { $0.append(run) }
        // Stopped meanwhile: it would not have been heard.
        if bell.isStopping { run.stop() }
        return run
    }

    /// It has ended; where it was superseded, it is found again as it is registered now.
    private func remove(_ run: HandlerRun) { runs.withLock { $0.removeAll { $0 === run } } }

    private static let sqlHandlers: PostgresStatement = """
        SELECT h.handler_id, h.event_types, h.aggregate_types, h.lanes, h.audit
        FROM millrace.event_handlers AS h
        LEFT JOIN millrace.projection_generations AS g ON g.handler_id = h.handler_id
        WHERE h.kind = 'sql' AND (g.handler_id IS NULL OR g.handler_id = ANY ($1))
        ORDER BY h.handler_id
        """

    /// Handlers of the database and of projections that it does not run yet. Those of generations that are written no more are stopped, and
    /// those of one that has begun to serve, or is sent after the one that does, to go on in other places and with other limits.
    private func newHandlers() async -> [HandlerRun] {
        do {
            let generations = keeper.hasNothingToKeep ? [] : try await keeper.handlers()
            for run in all where run.handler.isOfProjection {
                let goesOn = generations.contains {
                    $0.generation.handler == run.handler.name && $0.generation.isBuilding == run.handler.isBuilding
                }
                if !goesOn { run.stop() }
            }
            var found = generations.compactMap(\.handler)
            if options.runsSQLHandlers {
                found += try await sqlHandlers(writing: generations.map(\.generation))
            }
            let known = Set(all.map(\.handler.name))
            return found.filter { !known.contains($0.name) }.map { add($0) }
        } catch {
            logger.warning("handlers could not be looked for", metadata: ["error": "\(error)"])
            return []
        }
    }

    private func sqlHandlers(writing generations: [ProjectionGeneration]) async throws -> [Handler] {
        let written = generations.filter(\.isWrittenByFunctions).map(\.handler)
        let rows = try await store.client.query(
            HandlerWorker.sqlHandlers,
            [.textArray(written)],
            timeout: options.lease
        )
        return try rows.map { row in
            let name = try row.decode(String.self, at: 0)
            var handler = Handler(
                name: name,
                filter: EventFilter(
                    eventTypes: try row.decode([String]?.self, at: 1),
                    aggregateTypes: try row.decode([String]?.self, at: 2)
                ),
                options: HandlerOptions(
                    lanes: Int(try row.decode(Int32.self, at: 3)),
                    // Only for replays: what is new the function's own run writes down.
                    audit: HandlerOptions.Audit(rawValue: try row.decode(String.self, at: 4)) ?? .all
                ),
                work: .function
            )
            handler.isOfProjection = written.contains(name)
            handler.isBuilding = generations.contains { $0.handler == name && $0.isBuilding }
            return handler
        }
    }

    /// What is new while it works is refused by itself, and tried again at the next beat.
    private func isRegistered(_ run: HandlerRun) async -> Bool {
        do {
            try await run.register()
            return true
        } catch {
            logger.error("a handler is refused", metadata: ["handler": "\(run.handler.name)", "error": "\(error)"])
            return false
        }
    }

    private func swapProjections() async {
        var attempts: [String: Int] = [:]
        while !Task.isCancelled {
            await keeper.swapWhatIsEqual(&attempts)
            do { try await Task.sleep(for: options.beat) } catch { return }
        }
    }

    private func listen() async {
        for await notification in store.client.notifications(on: ["handler_channel"]) {
            switch notification {
            case .listening: for run in all { run.look() }
            case .notified(_, let name, _):
                bell.look()
                for run in all where run.handler.name == name { run.look() }
            }
        }
    }

    private static let countEvents: PostgresStatement = "SELECT millrace.count_events()"

    /// Keeps the counts of the log near its end, for whoever asks what is pending.
    private func count() async {
        while !Task.isCancelled {
            let left = try? await store.client.query(HandlerWorker.countEvents).first?.decode(Int64?.self, at: 0)
            if let left, left > 0 { continue }
            do { try await Task.sleep(for: options.beat) } catch { return }
        }
    }
}
