import MillracePostgres

extension EventStore {
    private static let registerProjection: PostgresStatement = """
        SELECT millrace.register_projection($1, $2, $3, NULL, $4, $5, $6, $7, NULL, $8, $9, $10, $11, $12, $13)
        """
    private static let swapWhatIsEqual: PostgresStatement = "SELECT millrace.swap_projection($1, $2, 0)"
    private static let isServed: PostgresStatement =
        "SELECT p.serving IS NOT NULL FROM millrace.projections AS p WHERE p.projection = $1"

    /// Makes a projection known: its tables and its views, or, in a version that is new, tables beside those that serve. A worker does it for those
    /// that it is given; a store that projects inline needs it before its first append.
    ///
    /// An inline one serves at once where the log has nothing for it yet, and otherwise when a worker has built it. One to four round trips; waits for
    /// appends that are under way where it is inline and new.
    /// - Returns: the generation that this version writes.
    /// - Throws: ``EventStoreError``; what PostgreSQL says of the tables.
    @discardableResult
    public func register(_ projection: Projection) async throws -> Int {
        try await EventStoreError.translating {
            let filter = upcasters.stored(projection.filter)
            let retry = projection.options.retry
            let generation = try await client.withTransaction(retry: .lockTimeouts) { transaction in
                try await transaction.query(
                    EventStore.registerProjection,
                    [
                        .text(projection.name), .int4(Int32(clamping: projection.version)), .text(projection.tables),
                        .textArray(filter.eventTypes), .textArray(filter.aggregateTypes),
                        .text(projection.mode.rawValue),
                        .text(projection.indexes), .int4(Int32(clamping: projection.options.lanes)),
                        .bool(projection.options.swapsByItself), .int4(Int32(clamping: retry.attempts)),
                        .int4(Int32(clamping: retry.backoff.initial.milliseconds)),
                        .int4(Int32(clamping: retry.backoff.maximum.milliseconds)),
                        .int4(Int32(clamping: projection.options.parkedLimit)),
                    ]
                ).single().decode(Int32.self, at: 0)
            }
            guard projection.mode == .inline else { return Int(generation) }
            let isServed = try await client.query(EventStore.isServed, [.text(projection.name)]).single().decode(
                Bool.self,
                at: 0
            )
            if !isServed {
                _ = try await client.query(EventStore.swapWhatIsEqual, [.text(projection.name), .int4(generation)])
            }
            return Int(generation)
        }
    }

    private static let servingHandler: PostgresStatement = """
        SELECT g.handler_id
        FROM millrace.projections AS p
        JOIN millrace.projection_generations AS g ON g.projection = p.projection AND g.generation = p.serving
        WHERE p.projection = $1 AND p.mode = 'behind' AND ($2::int IS NULL OR g.version = $2)
        """

    /// Returns when a projection that is written behind has everything up to a position: for who has to read what became of what he appended, and for tests.
    /// - Parameters:
    ///   - version: waits until this one serves, where it does not yet; nil: whichever does.
    ///   - position: nil: all that is in the log when this is called.
    /// - Throws: ``HandlerIsBehind``.
    public func waitUntilProjected(
        by projection: String,
        version: Int? = nil,
        upTo position: Position? = nil,
        within limit: Duration = .seconds(60)
    ) async throws {
        let target = if let position { position } else { try await lastPosition() }
        let deadline = ContinuousClock.now + limit
        while true {
            let serving = try await client.query(
                EventStore.servingHandler,
                [.text(projection), .int4(version.map { Int32(clamping: $0) })]
            ).first
            if let handler = try serving?.decode(String.self, at: 0) {
                return try await waitUntilHandled(by: handler, upTo: target, within: deadline - .now)
            }
            guard ContinuousClock.now < deadline else {
                throw HandlerIsBehind(handler: projection, limit: limit, checkpoint: .start)
            }
            try await Task.sleep(for: FollowedLanes.beat)
        }
    }
}

extension PostgresRetryPolicy {
    /// A lock that others hold for longer than it is waited for, so that they do not wait behind it.
    static var lockTimeouts: PostgresRetryPolicy {
        var policy = serializationFailures(
            attempts: 10,
            backoff: PostgresBackoff(initial: .milliseconds(20), maximum: .seconds(1))
        )
        policy.sqlStates.insert(.lockNotAvailable)
        return policy
    }
}
