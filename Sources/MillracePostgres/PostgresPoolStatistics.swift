/// What a client's pool is doing at this moment.
public struct PostgresPoolStatistics: Sendable, Hashable {
    /// Connections that are open: ``idle`` and ``leased``.
    public var open: Int
    /// Attempts to open one, including those that wait for their backoff.
    public var connecting: Int
    public var idle: Int
    public var leased: Int
    /// Callers that wait for a connection.
    public var waiting: Int
}
