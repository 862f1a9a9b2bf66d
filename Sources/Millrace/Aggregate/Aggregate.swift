public import MillracePostgres

/// The aggregates of one decider in a store: load their states, execute commands on them.
///
///     let accounts = store.aggregate(Account(), snapshots: .every(100, shape: 1))
///     let done = try await accounts.execute(.deposit(cents: 100), on: "a-1")
///     let now = try await accounts.load("a-1")
///
/// A value to pass around, made by ``EventStore/aggregate(_:snapshots:unknownEvents:retry:)``.
public struct Aggregate<D: Decider>: Sendable {
    /// The state of one aggregate.
    public struct Loaded: Sendable {
        public let state: D.State
        /// Of the last event that is in the state; 0: there was none, and the state is the initial one.
        public let version: Int
        let base: SnapshotBase
    }

    /// What came of a command.
    public struct Executed: Sendable {
        /// After the events, as a load would give it.
        public let state: D.State
        /// Of the last event that is in the state; 0: there is none.
        public let version: Int
        /// What was decided and stored; none where the command changed nothing.
        public let events: [D.Event]
        /// Where the events are stored; nil where there are none.
        public let stored: AppendResult?
        /// How often it was decided.
        public let attempts: Int
    }

    public let decider: D
    public let unknownEvents: UnknownEvents
    public let retry: CommandRetry
    let store: EventStore
    let snapshots: Snapshots<D.State>?

    public func stream(_ id: String) -> StreamID { StreamID(D.aggregateType, id) }

    /// Loads, decides, and appends what was decided, expecting the stream to be where it was loaded; a decision without events appends nothing.
    ///
    /// Where others were faster it is decided anew, as often as ``retry`` says. An append whose answer was lost is sent again with
    /// the same ids, so that a command takes effect once. At least two round trips, and one for a snapshot that is due.
    ///
    /// The events' metadata is what they say themselves and ``EventMetadata/current``.
    ///
    /// - Parameter transaction: one of yours. The stream is locked in it until it ends, and the events are stored when it commits. A
    ///   conflict, which an isolation level above read committed makes possible, is thrown as PostgreSQL's own and not retried: run
    ///   your transaction again, as ``EventStore/withTransaction(_:retry:isolation:_:)`` does. Commands on several streams in one
    ///   transaction can deadlock against another that takes them in another order: lock them first, with
    ///   ``EventStore/lockStreams(_:in:)``.
    /// - Throws: what the decider throws; ``AggregateError``; ``EventStoreError``; `CancellationError` while it waits between attempts.
    @discardableResult
    public func execute(
        _ command: D.Command,
        on id: String,
        in transaction: PostgresTransaction? = nil
    ) async throws -> Executed {
        let run = CommandRun(store: store, retry: retry)
        let stream = stream(id)
        let decided = try await run.decide(on: [stream], in: transaction) { decision in
            (try await decision.events(command, stream, self), try decision.loaded(stream, self))
        }
        return Executed(
            state: decided.value.1.state,
            version: decided.value.1.version,
            events: decided.value.0,
            stored: decided.stored,
            attempts: decided.attempts
        )
    }
}

/// What becomes of events in a stream that the decider's ``DomainEvent/types`` do not know.
public enum UnknownEvents: Sendable, Hashable {
    /// Loading fails with ``AggregateError/unknownEvent(type:stream:version:)``.
    case fail
    /// They change nothing.
    case skip
}

extension EventStore {
    /// The aggregates of a decider.
    public func aggregate<D: Decider>(
        _ decider: D,
        unknownEvents: UnknownEvents = .fail,
        retry: CommandRetry = CommandRetry()
    ) -> Aggregate<D> {
        Aggregate(decider: decider, unknownEvents: unknownEvents, retry: retry, store: self, snapshots: nil)
    }

    /// The aggregates of a decider, whose states are kept by a policy.
    ///
    /// Loading with snapshots is open to every role; taking them, as appending, needs `millrace_publisher`.
    public func aggregate<D: Decider>(
        _ decider: D,
        snapshots policy: SnapshotPolicy,
        unknownEvents: UnknownEvents = .fail,
        retry: CommandRetry = CommandRetry()
    ) -> Aggregate<D> where D.State: Codable {
        Aggregate(
            decider: decider,
            unknownEvents: unknownEvents,
            retry: retry,
            store: self,
            snapshots: Snapshots(policy, decider: String(reflecting: D.self))
        )
    }

    /// Executes a command on one aggregate; see ``Aggregate/execute(_:on:in:)``.
    @discardableResult
    public func execute<D: Decider>(
        _ command: D.Command,
        on id: String,
        of decider: D,
        in transaction: PostgresTransaction? = nil
    ) async throws -> Aggregate<D>.Executed {
        try await aggregate(decider).execute(command, on: id, in: transaction)
    }
}
