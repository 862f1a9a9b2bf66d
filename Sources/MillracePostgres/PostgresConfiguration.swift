/// Where and how to connect, and every limit of a client.
///
/// The connection string is libpq's own and passed through unchanged: a URI or keyword/value pairs, several hosts,
/// `target_session_attrs`, TLS options, service files. An empty one means the `PG*` environment variables.
public struct PostgresConfiguration: Sendable {
    public var connectionString: String
    /// Shown in `pg_stat_activity` where neither the connection string nor `PGAPPNAME` names one.
    public var applicationName: String = "millrace"
    /// How many connections a client opens at most (those of notifications are extra).
    public var maximumConnections: Int = 10
    /// How many callers may wait for a connection; further ones are refused with ``PostgresError/poolExhausted(waiters:)``.
    public var maximumWaiters: Int = 10_000
    /// How long a caller waits for a connection before ``PostgresError/acquireTimedOut(_:)``.
    public var acquireTimeout: Duration = .seconds(30)
    /// How long opening one connection may take, over all hosts and name resolution.
    public var connectTimeout: Duration = .seconds(10)
    /// How long a statement may take where the call names no limit of its own; nil: no limit.
    public var queryTimeout: Duration? = nil
    /// How long a rollback or the settling of a returned connection may take before the connection is given up.
    public var settleTimeout: Duration = .seconds(5)
    /// How long ``PostgresClient/close()`` waits for leased connections to come back before it closes them.
    public var closeTimeout: Duration = .seconds(10)
    /// Settings of every session, such as `["transaction_timeout": "60s"]`, set right after connecting (one round trip).
    public var sessionSettings: [String: String] = [:]
    /// The waits between attempts to connect after a failure.
    public var reconnectBackoff: PostgresBackoff = .init()
    /// Whether statements are prepared under a name; false for a PgBouncer in transaction mode without support for them.
    public var preparedStatements: Bool = true
    /// How many prepared statements a connection keeps; the least recently used is deallocated beyond that.
    public var maximumPreparedStatements: Int = 256
    /// How many calls may be in flight on one connection; further ones wait in the connection's queue.
    public var maximumPipelineDepth: Int = 256
    /// How many parameter bytes may be in flight on one connection (one call alone may be larger).
    public var maximumPipelineBytes: Int = 4 << 20
    /// How many calls may wait for their turn on one connection; further ones are refused with ``PostgresError/misuse(_:)``.
    public var maximumQueuedCalls: Int = 100_000
    /// How many notifications are kept for a listener that is behind; the oldest are dropped beyond that.
    public var maximumBufferedNotifications: Int = 1_024

    public init(_ connectionString: String = "") {
        self.connectionString = connectionString
    }
}
