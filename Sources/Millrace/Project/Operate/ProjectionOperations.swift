public import MillracePostgres

/// What an operator does with projections, whatever processes write them: the database is asked, and its word counts everywhere.
///
///     let generation = try await store.projections.rebuild("orders")
///     try await store.projections.waitUntilServing("orders", generation: generation)
///     let found = try await store.projections.verify("orders", sample: 10)
///
/// An unknown projection or generation, and what cannot be done with it, throws ``EventStoreError/projectionRefused(_:hint:)``; what is waited for
/// in vain ``ProjectionNotReady``. Looking needs the role `millrace_consumer`; what makes, swaps or drops tables runs as the caller,
/// who owns them; going back needs `millrace_admin`. What changes something leaves a ``HandlerAction`` of the generation's handler.
public struct ProjectionOperations: Sendable {
    let store: EventStore

    func query(
        _ statement: PostgresStatement,
        _ parameters: [PostgresValue] = [],
        in session: (any PostgresSession)?
    ) async throws -> PostgresRows {
        try await EventStoreError.translating { try await (session ?? store.client).query(statement, parameters) }
    }
}

extension EventStore {
    /// Looking at projections, and operating them.
    public var projections: ProjectionOperations { ProjectionOperations(store: self) }
}

// MARK: Looking

extension ProjectionOperations {
    private static let listProjections = PostgresStatement(
        "SELECT \(ProjectionStatus.columns) FROM millrace.list_projections($1)"
    )

    /// Every generation, by projection: the one that serves, those that are being built, those that are kept. One round trip; some
    /// milliseconds, whatever the size of the log.
    ///
    /// - Parameter name: only of this one.
    public func list(
        of name: String? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> [ProjectionStatus] {
        try await query(ProjectionOperations.listProjections, [.text(name)], in: session).map {
            try ProjectionStatus($0)
        }
    }

    /// One generation. One round trip.
    public func status(
        of name: String,
        generation: Int,
        in session: (any PostgresSession)? = nil
    ) async throws -> ProjectionStatus {
        guard let status = try await list(of: name, in: session).first(where: { $0.generation == generation }) else {
            throw EventStoreError.projectionRefused(
                "the projection “\(name)” has no generation \(generation)",
                hint: "`millrace projections` lists them; somebody may have dropped it."
            )
        }
        return status
    }
}

// MARK: Building, going back, dropping

extension ProjectionOperations {
    private static let rebuildProjection: PostgresStatement = "SELECT millrace.rebuild_projection($1, $2, $3, $4, $5)"
    private static let rollBackProjection: PostgresStatement = "SELECT millrace.roll_back_projection($1, $2, $3)"
    private static let dropGeneration: PostgresStatement = "SELECT millrace.drop_generation($1, $2)"

    /// Asks for a new generation, from the beginning of the log, and returns at once. Whoever runs this version builds it beside the one
    /// that serves, which is read as before. One round trip.
    ///
    /// - Parameters:
    ///   - version: of the code; nil: that of the generation that serves.
    ///   - swapsByItself: whether it takes the place of the one that serves as soon as it is equal to it; otherwise ``swap(_:generation:force:reason:within:)``
    ///     does it.
    /// - Returns: its number.
    public func rebuild(
        _ name: String,
        version: Int? = nil,
        swapsByItself: Bool = true,
        in session: (any PostgresSession)? = nil
    ) async throws -> Int {
        try await begin(name, version: version, swapsByItself: swapsByItself, .serve, sample: 1_000, in: session)
    }

    func begin(
        _ name: String,
        version: Int?,
        swapsByItself: Bool,
        _ purpose: ProjectionStatus.Purpose,
        sample: Int,
        in session: (any PostgresSession)?
    ) async throws -> Int {
        let row = try await query(
            ProjectionOperations.rebuildProjection,
            [
                .text(name), .int4(version.map { Int32(clamping: $0) }), .bool(swapsByItself), .text(purpose.rawValue),
                .int4(Int32(clamping: sample)),
            ],
            in: session
        ).single()
        return Int(try row.decode(Int32.self, at: 0))
    }

    /// Sends a generation that is kept after the one that serves, and returns at once: it is written with what came since it was replaced, and
    /// takes its place when it is equal to it. One round trip.
    ///
    /// - Parameter generation: nil: the one that was replaced last.
    /// - Returns: its number.
    @discardableResult
    public func rollBack(
        _ name: String,
        to generation: Int? = nil,
        reason: String? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> Int {
        let row = try await query(
            ProjectionOperations.rollBackProjection,
            [.text(name), .int4(generation.map { Int32(clamping: $0) }), .text(reason)],
            in: session
        ).single()
        return Int(try row.decode(Int32.self, at: 0))
    }

    /// Drops a generation that does not serve, with its tables and what depends on them. Work on it that is under way is undone. One round trip; without a
    /// session of the caller's it is repeated while others hold its locks, a bounded number of times.
    public func drop(_ name: String, generation: Int, in session: (any PostgresSession)? = nil) async throws {
        let parameters: [PostgresValue] = [.text(name), .int4(Int32(clamping: generation))]
        if let session {
            _ = try await query(ProjectionOperations.dropGeneration, parameters, in: session)
        } else {
            try await EventStoreError.translating {
                try await store.client.withTransaction(retry: .lockTimeouts) { transaction in
                    _ = try await transaction.query(ProjectionOperations.dropGeneration, parameters)
                }
            }
        }
    }
}

// MARK: Waiting

extension ProjectionOperations {
    /// Between two looks.
    static let beat = Duration.milliseconds(100)
    /// A generation that is so many events behind is brought up to the other while that is held.
    static let eventsThatAreHeldFor: Int64 = 200

    private static let unequalLanes: PostgresStatement = "SELECT behind, ahead FROM millrace.unequal_lanes($1, $2)"

    /// Returns when a generation serves, or has served and was replaced.
    ///
    /// A round trip at each look, ten times a second.
    /// - Parameters:
    ///   - patience: how long nobody may run it.
    ///   - look: is told how it is, at each look.
    /// - Throws: ``ProjectionNotReady``. It goes on being built whatever this throws.
    public func waitUntilServing(
        _ name: String,
        generation: Int,
        patience: Duration = .seconds(30),
        _ look: (ProjectionStatus) throws -> Void = { _ in }
    ) async throws {
        try await wait(name, generation, patience, look) { _ in false }
    }

    /// Returns when a generation has, but for a few events, what the one that serves has: when it can be swapped.
    ///
    /// Two round trips at each look, ten times a second.
    /// - Throws: ``ProjectionNotReady``, as ``waitUntilServing(_:generation:patience:_:)``.
    public func waitUntilBuilt(
        _ name: String,
        generation: Int,
        patience: Duration = .seconds(30),
        _ look: (ProjectionStatus) throws -> Void = { _ in }
    ) async throws {
        try await wait(name, generation, patience, look, until: isNear)
    }

    /// Until it is built no more, or enough.
    private func wait(
        _ name: String,
        _ generation: Int,
        _ patience: Duration,
        _ look: (ProjectionStatus) throws -> Void,
        until isEnough: (ProjectionStatus) async throws -> Bool
    ) async throws {
        var patience = ProjectionPatience(patience)
        while true {
            let status = try await status(of: name, generation: generation)
            guard status.state == .building else { return }
            if try await isEnough(status) { return }
            try look(status)
            try patience.look(at: status)
            try await Task.sleep(for: ProjectionOperations.beat)
        }
    }

    private func isNear(_ status: ProjectionStatus) async throws -> Bool {
        let row = try await query(
            ProjectionOperations.unequalLanes,
            [.text(status.projection), .int4(Int32(clamping: status.generation))],
            in: nil
        ).single()
        guard let behind = try row.decode(Int64?.self, at: 0) else { return false }
        // A few events are written by somebody, or not at all.
        let reach = status.workers > 0 ? ProjectionOperations.eventsThatAreHeldFor : 0
        return try behind <= reach && row.decode(Int64.self, at: 1) == 0
    }
}
