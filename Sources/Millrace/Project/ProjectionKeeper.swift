import Logging
import MillracePostgres

/// Knows which generations of a worker's projections there are, and lets those that are built take the place of those that serve.
struct ProjectionKeeper: Sendable {
    let store: EventStore
    let projections: [Projection]
    /// Whether it looks after those that functions write as well.
    let keepsFunctions: Bool
    let logger: Logger

    var hasNothingToKeep: Bool { projections.isEmpty && !keepsFunctions }

    /// How long the one that serves may be held for the other to come up with it.
    private static let holdMilliseconds: Int32 = 1_000
    private static let timeout = Duration.seconds(10)

    func register() async throws {
        for projection in projections { try await store.register(projection) }
    }

    /// The handlers that write what is in these projections now, and which of all handlers are of no generation any more.
    func handlers() async throws -> [(generation: ProjectionGeneration, handler: Handler?)] {
        try await ProjectionGeneration.active(in: store.client, timeout: ProjectionKeeper.timeout).map { generation in
            guard !generation.isWrittenByFunctions else { return (generation, nil) }
            let projection = projections.first { $0.name == generation.projection && $0.version == generation.version }
            return (generation, projection.map { generation.handler(of: $0) })
        }
    }

    /// Swaps what is equal, as far as it is this worker's.
    func swapWhatIsEqual() async {
        do {
            for generation in try await ProjectionGeneration.active(in: store.client, timeout: ProjectionKeeper.timeout)
            where generation.isBuilding && generation.swapsByItself && isOurs(generation) {
                do {
                    try await swap(generation)
                } catch PostgresError.server(let error) where error.sqlState == .lockNotAvailable {
                    logger.debug(
                        "a projection could not be swapped yet",
                        metadata: details(generation, "\(error.message)")
                    )
                }
            }
        } catch is CancellationError {
            return
        } catch {
            logger.warning("a projection could not be swapped", metadata: ["error": "\(error)"])
        }
    }

    private func isOurs(_ generation: ProjectionGeneration) -> Bool {
        if generation.isWrittenByFunctions { return keepsFunctions }
        return projections.contains { $0.name == generation.projection && $0.version == generation.version }
    }

    private static let isNear: PostgresStatement =
        "SELECT behind IS NOT NULL AND ahead = 0 FROM millrace.unequal_lanes($1, $2)"
    private static let makeIndexes: PostgresStatement = "SELECT millrace.index_generation($1, $2)"
    private static let swap: PostgresStatement = "SELECT millrace.swap_projection($1, $2, $3)"

    private func swap(_ generation: ProjectionGeneration) async throws {
        let names: [PostgresValue] = [.text(generation.projection), .int4(Int32(generation.number))]
        let isNear = try await store.client.query(ProjectionKeeper.isNear, names).single().decode(Bool.self, at: 0)
        guard isNear else { return }
        if generation.hasIndexesToMake {
            // As long as it takes.
            try await store.client.withTransaction { transaction in
                try await transaction.query("SET LOCAL statement_timeout = 0")
                try await transaction.query(ProjectionKeeper.makeIndexes, names, timeout: .seconds(86_400))
            }
        }
        let why = try await store.client.query(
            ProjectionKeeper.swap,
            names + [.int4(ProjectionKeeper.holdMilliseconds)],
            timeout: ProjectionKeeper.timeout
        ).single().decode(String?.self, at: 0)
        if let why {
            logger.debug("a projection is not swapped yet", metadata: details(generation, why))
        } else {
            logger.info("a projection was swapped", metadata: details(generation, nil))
        }
    }

    private func details(_ generation: ProjectionGeneration, _ reason: String?) -> Logger.Metadata {
        var details: Logger.Metadata = [
            "projection": "\(generation.projection)", "generation": "\(generation.number)",
            "version": "\(generation.version)",
        ]
        details["reason"] = reason.map { "\($0)" }
        return details
    }
}
