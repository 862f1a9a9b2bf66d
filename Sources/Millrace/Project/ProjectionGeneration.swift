import MillracePostgres

/// One time that a projection was built, as whoever writes it needs to know it.
struct ProjectionGeneration: Sendable {
    let projection: String
    let number: Int
    let version: Int
    /// The handler that its checkpoints are kept under.
    let handler: String
    let isBuilding: Bool
    let isInline: Bool
    let isWrittenByFunctions: Bool
    let swapsByItself: Bool
    let hasIndexesToMake: Bool
    /// Of each thousand streams so many.
    let sample: Int
    /// The same for all generations: what the first was registered with.
    let lanes: Int

    static let streamsOfASample = 1000

    private static let active: PostgresStatement = """
        SELECT g.projection, g.generation, g.version, g.handler_id, g.state = 'building', g.functions IS NOT NULL,
               g.swaps_by_itself AND g.purpose = 'serve', g.indexes IS NOT NULL AND g.indexed_at IS NULL, g.sample, p.mode = 'inline', h.lanes
        FROM millrace.projection_generations AS g
        JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
        JOIN millrace.projections AS p ON p.projection = g.projection
        WHERE g.state = 'building' OR g.state = 'serving' AND p.mode = 'behind'
        ORDER BY g.projection, g.generation
        """

    /// All that are written by handlers now. One round trip.
    static func active(in client: PostgresClient, timeout: Duration) async throws -> [ProjectionGeneration] {
        try await client.query(active, [], timeout: timeout).map { row in
            ProjectionGeneration(
                projection: try row.decode(String.self, at: 0),
                number: Int(try row.decode(Int32.self, at: 1)),
                version: Int(try row.decode(Int32.self, at: 2)),
                handler: try row.decode(String.self, at: 3),
                isBuilding: try row.decode(Bool.self, at: 4),
                isInline: try row.decode(Bool.self, at: 9),
                isWrittenByFunctions: try row.decode(Bool.self, at: 5),
                swapsByItself: try row.decode(Bool.self, at: 6),
                hasIndexesToMake: try row.decode(Bool.self, at: 7),
                sample: Int(try row.decode(Int32.self, at: 8)),
                lanes: Int(try row.decode(Int32.self, at: 10))
            )
        }
    }

    private static let enter: PostgresStatement = "SELECT millrace.enter_projection($1, $2)"

    /// Lets a transaction write a generation from here on; answers up to where its events have no other effects. One round trip.
    static func enter(_ handler: String, lane: Int, in transaction: PostgresTransaction) async throws -> Position {
        Position(
            try await transaction.query(enter, [.text(handler), .int4(Int32(lane))]).single().decode(Int64.self, at: 0)
        )
    }

    /// What writes it in this process.
    func handler(of projection: Projection) -> Handler {
        let options = HandlerOptions(
            lanes: lanes,
            batchSize: isBuilding ? projection.options.buildingBatchSize : projection.options.batchSize,
            retry: projection.options.retry,
            parkedLimit: projection.options.parkedLimit,
            timeout: projection.options.timeout
        )
        var handler = Handler.batches(handler, matching: projection.filter, options: options) {
            [sample] events, context in
            let silentTo = try await ProjectionGeneration.enter(
                context.handler,
                lane: context.lane,
                in: context.transaction
            )
            let projecting = ProjectionContext(
                transaction: context.transaction,
                store: context.store,
                projection: projection.name,
                version: projection.version,
                silentTo: silentTo
            )
            let events =
                sample == ProjectionGeneration.streamsOfASample
                ? events : events.filter { $0.lane(of: ProjectionGeneration.streamsOfASample) < sample }
            try await projection.write(events, projecting)
            return .done
        }
        handler.isOfProjection = true
        handler.isBuilding = isBuilding
        return handler
    }
}
