/// Named code that processes events: every one that its filter wants, in the order of each stream.
///
///     let revenue = Handler("revenue", matching: .eventTypes("order.created")) { event, context in
///         let order = try event.decode(OrderCreated.self)
///         try await context.transaction.query(
///             "UPDATE revenue SET cents = cents + $1", [.int8(Int64(order.cents))]
///         )
///         return .done
///     }
///     try await HandlerWorker(store, handlers: [revenue]).run()
///
/// Delivery is at least once; what is written through ``HandlerContext/transaction`` is stored exactly once, because it is stored
/// together with the checkpoint that passes the event, or not at all. For effects elsewhere there is
/// ``HandlerContext/idempotencyKey``.
public struct Handler: Sendable {
    typealias EachEvent = @Sendable (RecordedEvent, HandlerContext) async throws -> HandlerOutcome
    typealias Batch = @Sendable ([RecordedEvent], HandlerContext) async throws -> HandlerOutcome

    enum Work: Sendable {
        case each(EachEvent)
        case batch(Batch)
        /// A function in the database, registered there.
        case function
    }

    /// What its checkpoints are kept under, for ever.
    public let name: String
    public internal(set) var filter: EventFilter
    public let options: HandlerOptions
    var work: Work
    /// Whether it writes a projection: it may have to follow the generation that serves, and takes large transactions while there is much.
    var isOfProjection = false
    /// Whether it builds a generation beside the one that serves.
    var isBuilding = false

    /// - Parameter body: handles one event. An error that it throws means ``HandlerOutcome/retry(after:because:)``. It may run more than
    ///   once for an event, also where nothing is wrong with it: another event of the same transaction may have failed.
    public init(
        _ name: String,
        matching filter: EventFilter = .all,
        options: HandlerOptions = HandlerOptions(),
        _ body: @escaping @Sendable (RecordedEvent, HandlerContext) async throws -> HandlerOutcome
    ) {
        self.init(name: name, filter: filter, options: options, work: .each(body))
    }

    /// A handler that takes all events of a transaction at once, up to ``HandlerOptions/batchSize``, of one lane and in the log's order.
    ///
    /// One outcome for all of them: where it is not ``HandlerOutcome/done``, they are undone and come again one by one, so that only those
    /// are set aside that fail alone.
    public static func batches(
        _ name: String,
        matching filter: EventFilter = .all,
        options: HandlerOptions = HandlerOptions(),
        _ body: @escaping @Sendable ([RecordedEvent], HandlerContext) async throws -> HandlerOutcome
    ) -> Handler {
        Handler(name: name, filter: filter, options: options, work: .batch(body))
    }

    init(name: String, filter: EventFilter, options: HandlerOptions, work: Work) {
        self.name = name
        self.filter = filter
        self.options = options
        self.work = work
    }
}
