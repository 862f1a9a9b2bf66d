/// How a handler works. What tells which events it gets in which lanes cannot be changed once it is registered: its filter and ``lanes``.
public struct HandlerOptions: Sendable {
    /// Which attempts leave a row in `event_audit`. The counters are complete in any case.
    public enum Audit: String, Sendable, Hashable, CaseIterable {
        case all, failures, none
    }

    /// Where a handler begins that is registered for the first time.
    public enum Beginning: Sendable, Hashable {
        case start
        /// With what comes from now on.
        case end
        case after(Position)
    }

    /// Hash partitions of its streams: so many transactions at a time can handle events, over all processes.
    public var lanes: Int
    /// Events of a transaction at the most.
    public var batchSize: Int
    public var beginning: Beginning
    public var retry: HandlerRetryPolicy
    public var audit: Audit
    /// Streams that may be set aside at a time. One more stops the handler: something is wrong then that more of them will not mend. Lanes that fail
    /// in the same moment do not see each other, so there may be as many more as lanes work at once.
    public var parkedLimit: Int
    /// How long one event, or one batch of a batch handler, may take. What takes longer is cancelled and counts as a failed attempt; where it
    /// does not return even then, its connection is closed, and its task left alone.
    public var timeout: Duration

    public init(
        lanes: Int = 16,
        batchSize: Int = 500,
        beginning: Beginning = .start,
        retry: HandlerRetryPolicy = HandlerRetryPolicy(),
        audit: Audit = .failures,
        parkedLimit: Int = 10_000,
        timeout: Duration = .seconds(30)
    ) {
        precondition((1...1024).contains(lanes), "a handler has 1 to 1,024 lanes")
        precondition(batchSize > 0 && parkedLimit > 0, "a handler's limits are positive")
        precondition(timeout > .zero, "handling an event takes time")
        self.lanes = lanes
        self.batchSize = batchSize
        self.beginning = beginning
        self.retry = retry
        self.audit = audit
        self.parkedLimit = parkedLimit
        self.timeout = timeout
    }
}
