import MillracePostgres

extension ProjectionOperations {
    /// As long as it takes: indexes and comparisons of whole tables.
    static let longestStatement = Duration.seconds(86_400)
    /// How long the one that serves is held for the other to come up with it.
    static let holdMilliseconds: Int32 = 1_000
    /// Between two attempts at a swap.
    private static let backoff = PostgresBackoff(initial: .milliseconds(20), maximum: .seconds(1))

    static let noStatementTimeout: PostgresStatement = "SET LOCAL statement_timeout = 0"
    private static let indexGeneration: PostgresStatement = "SELECT millrace.index_generation($1, $2)"
    private static let swapProjection: PostgresStatement = "SELECT millrace.swap_projection($1, $2, $3, $4, $5)"

    /// Lets a generation serve in the place of the one that does, in one transaction, when it is equal to it. Its indexes are made before.
    ///
    /// Where it is not equal yet, or a reader holds the views for longer than the swap lets others wait, it is tried again. Two round trips,
    /// and two for each attempt.
    /// - Parameters:
    ///   - generation: nil: the newest that is being built to serve.
    ///   - force: swaps it as it is, however far behind: readers see older data, until its workers have written what it lacks. Not for one that
    ///     is inline.
    ///   - limit: for all attempts; making the indexes does not count.
    /// - Returns: the generation that serves.
    /// - Throws: ``ProjectionNotReady``, with why the last attempt could not be made.
    @discardableResult
    public func swap(
        _ name: String,
        generation: Int? = nil,
        force: Bool = false,
        reason: String? = nil,
        within limit: Duration = .seconds(60)
    ) async throws -> Int {
        let number = if let generation { generation } else { try await newestBuilding(name) }
        let names: [PostgresValue] = [.text(name), .int4(Int32(clamping: number))]
        try await EventStoreError.translating {
            try await store.client.withTransaction { transaction in
                try await transaction.query(ProjectionOperations.noStatementTimeout)
                _ = try await transaction.query(
                    ProjectionOperations.indexGeneration,
                    names,
                    timeout: ProjectionOperations.longestStatement
                )
            }
        }
        let deadline = ContinuousClock.now + limit
        var failures = 0
        while true {
            let status = try await status(of: name, generation: number)
            if status.state == .serving { return number }
            guard let why = try await attempt(names, force: force, reason: reason) else { return number }
            failures += 1
            guard ContinuousClock.now < deadline else {
                var patience = ProjectionPatience(.zero)
                try patience.look(at: status)
                throw ProjectionNotReady.notEqual(projection: name, generation: number, reason: why, waited: limit)
            }
            try await Task.sleep(for: ProjectionOperations.backoff.delay(afterFailure: failures))
        }
    }

    private func newestBuilding(_ name: String) async throws -> Int {
        let building = try await list(of: name).filter { $0.state == .building && $0.purpose == .serve }
        guard let newest = building.map(\.generation).max() else {
            throw EventStoreError.projectionRefused(
                "no generation of the projection “\(name)” is being built",
                hint:
                    "Ask for one with `millrace projections rebuild \(name) --no-swap`, or go back with `millrace projections rollback \(name)`."
            )
        }
        return newest
    }

    /// Why it could not be swapped now; nil: it was.
    private func attempt(_ names: [PostgresValue], force: Bool, reason: String?) async throws -> String? {
        do {
            return try await query(
                ProjectionOperations.swapProjection,
                names + [.int4(ProjectionOperations.holdMilliseconds), .bool(force), .text(reason)],
                in: nil
            ).single().decode(String?.self, at: 0)
        } catch EventStoreError.postgres(let error)
            where error.sqlState == .lockNotAvailable || error.sqlState == .deadlockDetected
        {
            return "somebody who reads its views, or writes it, did not let go of a lock"
        }
    }
}
