public import MillracePostgres

/// How the appends of a process share transactions: see ``EventStore/append(_:in:)``.
///
/// The defaults were measured (docs/adr/0004-group-commit.md); a batch's must stay below the store's own
/// `max_batch_events` and `max_batch_bytes`.
public struct AppenderLimits: Sendable, Hashable {
    /// How many batches are on their way at once, each on a connection of the pool. More than one only where so much waits
    /// that another is worth its while, and where one is overdue.
    public var batchesInFlight: Int = 4
    /// How many events have to wait before another batch joins one that is on its way: fewer are stored sooner and with less
    /// work when they follow it together.
    public var companionEvents: Int = 64
    /// How many bytes have to wait, where the events are large.
    public var companionBytes: Int = 1 << 20
    /// After this a batch on its way is overdue, such as one that waits for a stream which somebody's transaction holds: what
    /// does not share a stream with it goes on without it.
    public var patience: Duration = .milliseconds(50)
    /// How many requests share a transaction.
    public var batchRequests: Int = 1_000
    /// How many events share a transaction; a request that has more goes alone.
    public var batchEvents: Int = 2_000
    /// How many bytes of names, JSON and payloads share a transaction; a request that has more goes alone.
    public var batchBytes: Int = 4 << 20
    /// How many requests wait for a batch. Behind them callers wait for room, in the order of their coming.
    public var queuedRequests: Int = 10_000
    /// How many bytes wait for a batch. A request that is larger by itself is let in when nothing else waits.
    public var queuedBytes: Int = 64 << 20
    /// How many callers wait for room in the queue; further ones are refused with
    /// ``PostgresError/poolExhausted(waiters:)``.
    public var waitingCallers: Int = 100_000
    /// How many requests that have to wait for another, of the same batch or of one that is overdue, are passed over for those
    /// behind them.
    public var passedOver: Int = 1_000
    /// When a batch that made PostgreSQL give up for another transaction's sake is sent again.
    public var retry: PostgresRetryPolicy = .serializationFailures(
        backoff: .init(initial: .milliseconds(5), maximum: .milliseconds(200))
    )
    /// How often a batch is sent again whose answer was lost.
    public var resends: Int = 20
    /// How long after the loss of an answer the batch is sent again at the latest. The last attempt may then take as long
    /// as the client's own limits for connecting and querying allow.
    public var resendTime: Duration = .seconds(10)
    /// The waits before a batch is sent again whose answer was lost.
    public var resendBackoff: PostgresBackoff = .init(initial: .milliseconds(20), maximum: .seconds(1))

    public init() {}
}
