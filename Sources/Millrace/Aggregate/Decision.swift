public import MillracePostgres
import Synchronization

/// Commands on several aggregates that take effect together or not at all.
///
///     try await store.decide { decision in
///         let from = try await decision.load(accounts, "a-1")
///         guard from.isOpen else { throw Closed() }
///         try await decision.execute(.withdraw(cents: 100), on: "a-1", of: accounts)
///         try await decision.execute(.deposit(cents: 100), on: "b-2", of: accounts)
///     }
///
/// Nothing is stored before the closure returns. Then all events are appended in one request, which expects every stream that was
/// loaded, also those that were only looked at, to be where it was loaded. It must not be used after the closure has returned.
public final class Decision: Sendable {
    /// A stream as the decision sees it: as it was loaded, and what was decided since.
    private struct Entry: Sendable {
        /// Whose state it is.
        let decider: ObjectIdentifier
        let loadedVersion: Int
        var state: any Sendable
        var version: Int
        var base: SnapshotBase
        /// Takes a snapshot where one is due.
        let keep: @Sendable (Entry, PostgresTransaction?) async -> Void
    }

    private struct State {
        var entries: [StreamID: Entry] = [:]
        /// In the order of their loading.
        var streams: [StreamID] = []
        var request = AppendRequest()
        var isOver = false
    }

    private let store: EventStore
    private let session: (any PostgresSession)?
    private let locksStreams: Bool
    private let state = Mutex(State())

    init(_ store: EventStore, in session: (any PostgresSession)?, locking: Bool) {
        self.store = store
        self.session = session
        locksStreams = locking
    }

    /// The state of an aggregate, with what was decided in this decision. Round trips as ``Aggregate/load(_:asOf:in:)``, the first time.
    ///
    /// Several streams are not loaded in the same moment: what is refused because of two of them that do not fit together may have been refused
    /// wrongly; what is stored was decided on states that stood together.
    /// - Throws: as ``Aggregate/load(_:asOf:in:)``; ``AggregateError/otherDecider(stream:)``.
    public func load<D: Decider>(_ aggregate: Aggregate<D>, _ id: String) async throws -> D.State {
        let stream = aggregate.stream(id)
        try await fetch(stream, aggregate)
        return try loaded(stream, aggregate).state
    }

    /// Decides a command on the state that ``load(_:_:)`` gives, and adds the events to what is stored at the end.
    /// - Returns: the state after them.
    /// - Throws: what the decider throws; as ``load(_:_:)``.
    @discardableResult
    public func execute<D: Decider>(
        _ command: D.Command,
        on id: String,
        of aggregate: Aggregate<D>
    ) async throws -> D.State {
        let stream = aggregate.stream(id)
        _ = try await events(command, stream, aggregate)
        return try loaded(stream, aggregate).state
    }

    func events<D: Decider>(_ command: D.Command, _ stream: StreamID, _ aggregate: Aggregate<D>) async throws -> [D
        .Event]
    {
        try await fetch(stream, aggregate)
        // Pure and synchronous, so that it can be done under the lock: what another task decides on the same stream comes before or after.
        return try state.withLock { state in
            if state.isOver { throw AggregateError.decisionIsOver }
            guard var entry = state.entries[stream], var value = entry.state as? D.State else {
                throw AggregateError.otherDecider(stream: stream)
            }
            let events = try aggregate.decider.decide(command, value)
            var new: [NewEvent] = []
            for event in events {
                let stored = try NewEvent(event)
                // As it will be read: JSON may know less than the value, and the state has to be what a load gives.
                guard let read = try D.Event.types.event(from: stored) else {
                    throw AggregateError.unregisteredEvent(type: stored.type, stream: stream)
                }
                aggregate.decider.evolve(&value, read)
                new.append(stored)
            }
            entry.state = value
            entry.version += new.count
            state.entries[stream] = entry
            if !new.isEmpty { state.request.append(new, to: stream) }
            return events
        }
    }

    /// As it is now, after ``fetch(_:_:)``.
    func loaded<D: Decider>(_ stream: StreamID, _ aggregate: Aggregate<D>) throws -> Aggregate<D>.Loaded {
        try state.withLock { state in
            guard let entry = state.entries[stream], entry.decider == ObjectIdentifier(D.self),
                let value = entry.state as? D.State
            else { throw AggregateError.otherDecider(stream: stream) }
            return Aggregate<D>.Loaded(state: value, version: entry.version, base: entry.base)
        }
    }

    private func fetch<D: Decider>(_ stream: StreamID, _ aggregate: Aggregate<D>) async throws {
        let known = try state.withLock { state in
            if state.isOver { throw AggregateError.decisionIsOver }
            return state.entries[stream]
        }
        if let known {
            guard known.decider == ObjectIdentifier(D.self) else {
                throw AggregateError.otherDecider(stream: stream)
            }
            return
        }
        var loaded = try await aggregate.load(stream, in: session, locked: locksStreams)
        if session == nil {
            let base = await aggregate.keep(loaded.state, loaded.version, of: stream, on: loaded.base)
            loaded = Aggregate<D>.Loaded(state: loaded.state, version: loaded.version, base: base)
        }
        let entry = Entry(
            decider: ObjectIdentifier(D.self),
            loadedVersion: loaded.version,
            state: loaded.state,
            version: loaded.version,
            base: loaded.base
        ) { entry, transaction in
            guard let value = entry.state as? D.State else { return }
            _ = await aggregate.keep(value, entry.version, of: stream, on: entry.base, in: transaction)
        }
        state.withLock { state in
            // Another task of the same decision may have loaded it meanwhile, and decided on it.
            guard state.entries[stream] == nil else { return }
            state.entries[stream] = entry
            state.streams.append(stream)
        }
    }

    /// The streams that it has loaded, in the order of their loading.
    var streams: [StreamID] { state.withLock { $0.streams } }

    /// Ends it.
    /// - Returns: what is to be stored, expecting every stream where it was loaded; without entries where nothing is.
    func end() -> AppendRequest {
        state.withLock { state in
            state.isOver = true
            for (stream, entry) in state.entries {
                state.request.require(entry.loadedVersion == 0 ? .noStream : .exactly(entry.loadedVersion), of: stream)
            }
            return state.request
        }
    }

    /// Takes the snapshots that are due, once the events are stored.
    /// - Parameter transaction: of the events, where they are not committed yet.
    func keepSnapshots(in transaction: PostgresTransaction? = nil) async {
        let (streams, entries) = state.withLock { ($0.streams, $0.entries) }
        for stream in streams {
            guard let entry = entries[stream], transaction == nil || entry.version > entry.loadedVersion else {
                continue
            }
            await entry.keep(entry, transaction)
        }
    }
}

/// What came of a decision.
public struct Decided<Value> {
    /// What the closure returned.
    public let value: Value
    /// Where the events are stored; nil where nothing was decided.
    public let stored: AppendResult?
    /// How often it was decided.
    public let attempts: Int
}

extension Decided: Sendable where Value: Sendable {}

extension EventStore {
    /// Decides on several aggregates at once; see ``Decision``.
    ///
    /// `body` may run more than once: where others were faster, it is run again, as often as `retry` says. Where streams are locked first, they are
    /// those that the attempt before loaded, and `body` runs within a transaction that holds a connection and the locks: decide
    /// in it, and do nothing else. A decision without events appends nothing, and expects nothing.
    ///
    /// - Parameter transaction: one of yours: the events are stored when it commits. `body` runs once, and a conflict is thrown as
    ///   ``EventStoreError/versionConflict(_:)``: run your transaction again.
    /// - Throws: what `body` throws; ``AggregateError``; ``EventStoreError``; `CancellationError` while it waits between attempts.
    @discardableResult
    public func decide<Value>(
        retry: CommandRetry = CommandRetry(),
        in transaction: PostgresTransaction? = nil,
        _ body: (Decision) async throws -> Value
    ) async throws -> Decided<Value> {
        try await CommandRun(store: self, retry: retry).decide(in: transaction, body)
    }
}
