/// A read model: tables of yours that are kept as the events say, and can be built anew while the ones before are read.
///
///     let orders = Projection(
///         "orders",
///         version: 1,
///         tables: "CREATE TABLE orders (id text PRIMARY KEY, customer text NOT NULL, cents bigint NOT NULL)",
///         matching: .eventTypes("order.created")
///     ) { event, context in
///         let order = try event.decode(OrderCreated.self)
///         try await context.transaction.query(
///             "INSERT INTO orders VALUES ($1, $2, $3)",
///             [.text(event.stream.aggregateID), .text(order.customer), .int8(Int64(order.cents))]
///         )
///     }
///     try await HandlerWorker(store, projections: [orders]).run()
///
/// Its tables have a schema of their own for each time that they are built, which comes first in the search_path of what writes them: name
/// them without one. Readers find them under the same names as views in the schema that the store's client creates things in, `public`
/// as a rule: `SELECT * FROM orders`.
///
/// Say a higher ``version`` where what it writes changes: the new one is built beside the one that is read, from the beginning of the log,
/// and takes its place in one transaction when both are equally far.
public struct Projection: Sendable {
    /// When it is written.
    public enum Mode: String, Sendable, Hashable {
        /// Shortly after the event, by a ``HandlerWorker``: exactly once, in the order of each stream.
        case behind
        /// In the transaction that appends the event: whoever appended reads what he wrote. The store that appends needs it
        /// (``EventStore/init(_:appending:projecting:logger:)``), and an append by any other is refused.
        case inline
    }

    typealias Batch = @Sendable ([RecordedEvent], ProjectionContext) async throws -> Void

    /// 1 to 40 small letters, digits and underscores, a letter first.
    public let name: String
    /// Of this code, from 1.
    public let version: Int
    /// The statements that make its tables, without a schema.
    public let tables: String
    /// What is made once the tables are full, which is faster than keeping it up to date while they are filled.
    public let indexes: String?
    public let mode: Mode
    public let filter: EventFilter
    public let options: ProjectionOptions
    private(set) var stages: [(filter: EventFilter, body: Batch)]

    /// - Parameter body: writes one event. An error fails the event, which is tried again, and parked, as a handler's is.
    public init(
        _ name: String,
        version: Int = 1,
        tables: String,
        indexes: String? = nil,
        mode: Mode = .behind,
        matching filter: EventFilter = .all,
        options: ProjectionOptions = ProjectionOptions(),
        _ body: @escaping @Sendable (RecordedEvent, ProjectionContext) async throws -> Void
    ) {
        self.init(
            batches: name,
            version: version,
            tables: tables,
            indexes: indexes,
            mode: mode,
            matching: filter,
            options: options,
            Projection.oneByOne(body)
        )
    }

    /// A projection that writes all events of a transaction at once, up to ``ProjectionOptions/batchSize`` of one lane, in the log's order.
    public init(
        batches name: String,
        version: Int = 1,
        tables: String,
        indexes: String? = nil,
        mode: Mode = .behind,
        matching filter: EventFilter = .all,
        options: ProjectionOptions = ProjectionOptions(),
        _ body: @escaping @Sendable ([RecordedEvent], ProjectionContext) async throws -> Void
    ) {
        precondition(version >= 1, "a projection's versions begin with 1")
        self.name = name
        self.version = version
        self.tables = tables
        self.indexes = indexes
        self.mode = mode
        self.filter = filter
        self.options = options
        stages = [(.all, body)]
    }

    /// The same with a stage more. It gets the events of a transaction when the stages before it have written all of them, and reads what
    /// they wrote: a sum over rows, a table that is derived from another.
    /// - Parameter filter: which of the projection's own events.
    public func then(
        matching filter: EventFilter = .all,
        _ body: @escaping @Sendable ([RecordedEvent], ProjectionContext) async throws -> Void
    ) -> Projection {
        var projection = self
        projection.stages.append((filter, body))
        return projection
    }

    private static func oneByOne(
        _ body: @escaping @Sendable (RecordedEvent, ProjectionContext) async throws -> Void
    ) -> Batch {
        { events, context in
            for event in events { try await body(event, context) }
        }
    }

    /// Lets all stages write events, in the transaction of the context.
    func write(_ events: [RecordedEvent], _ context: ProjectionContext) async throws {
        for stage in stages {
            let wanted = stage.filter.wantsEverything ? events : events.filter(stage.filter.wants)
            if !wanted.isEmpty { try await stage.body(wanted, context) }
        }
    }
}

/// How a projection is written.
public struct ProjectionOptions: Sendable {
    /// Hash partitions of its streams, for all of its versions: so many transactions at a time can write it, over all processes.
    public var lanes: Int
    /// Events of a transaction at the most, once it serves.
    public var batchSize: Int
    /// The same while it is built.
    public var buildingBatchSize: Int
    /// Whether it takes the place of the one that serves as soon as it is equal to it; otherwise when somebody says so (`millrace projections swap`).
    public var swapsByItself: Bool
    public var retry: HandlerRetryPolicy
    public var parkedLimit: Int
    /// How long a transaction's events may take.
    public var timeout: Duration

    public init(
        lanes: Int = 16,
        batchSize: Int = 500,
        buildingBatchSize: Int = 5_000,
        swapsByItself: Bool = true,
        retry: HandlerRetryPolicy = HandlerRetryPolicy(),
        parkedLimit: Int = 10_000,
        timeout: Duration = .seconds(30)
    ) {
        precondition(batchSize > 0 && buildingBatchSize > 0, "a projection's limits are positive")
        self.lanes = lanes
        self.batchSize = batchSize
        self.buildingBatchSize = buildingBatchSize
        self.swapsByItself = swapsByItself
        self.retry = retry
        self.parkedLimit = parkedLimit
        self.timeout = timeout
    }
}
