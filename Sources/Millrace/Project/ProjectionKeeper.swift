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

    /// How long the one that serves may be held for the other to come up with it, at first; twice as long after each attempt that was not
    /// enough, up to a limit. Readers do not notice; appends that are inline wait, and not longer each time.
    private static let hold = Doubling(first: .milliseconds(500), longest: .seconds(8))
    /// How long readers may be kept waiting for the swap by one that reads for long.
    private static let lock = Doubling(first: .milliseconds(50), longest: .seconds(1))
    private static let timeout = Duration.seconds(20)

    private struct Doubling: Sendable {
        let first: Duration
        let longest: Duration

        func milliseconds(after attempts: Int) -> Int32 {
            Int32(clamping: min(first * (1 << min(attempts, 16)), longest).milliseconds)
        }
    }

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
    /// - Parameter attempts: how often each was tried in vain, by its handler.
    func swapWhatIsEqual(_ attempts: inout [String: Int]) async {
        do {
            for generation in try await ProjectionGeneration.active(in: store.client, timeout: ProjectionKeeper.timeout)
            where generation.isBuilding && generation.swapsByItself && isOurs(generation) {
                do {
                    guard let why = try await swap(generation, after: attempts[generation.handler, default: 0]) else {
                        attempts[generation.handler] = nil
                        continue
                    }
                    attempts[generation.handler, default: 0] += 1
                    logger.debug("a projection is not swapped yet", metadata: details(generation, why))
                } catch PostgresError.server(let error) where error.sqlState == .lockNotAvailable {
                    attempts[generation.handler, default: 0] += 1
                    logger.debug("a projection is not swapped yet", metadata: details(generation, "\(error.message)"))
                } catch PostgresError.server(let error) {
                    logger.error("a projection cannot be swapped", metadata: details(generation, "\(error)"))
                }
            }
        } catch is CancellationError {
            return
        } catch {
            logger.warning("projections could not be looked after", metadata: ["error": "\(error)"])
        }
    }

    private func isOurs(_ generation: ProjectionGeneration) -> Bool {
        if generation.isWrittenByFunctions { return keepsFunctions }
        return projections.contains { $0.name == generation.projection && $0.version == generation.version }
    }

    private static let isNear: PostgresStatement =
        "SELECT behind IS NOT NULL AND ahead = 0 FROM millrace.unequal_lanes($1, $2)"
    private static let makeIndexes: PostgresStatement = "SELECT millrace.index_generation($1, $2)"
    private static let swap: PostgresStatement = "SELECT millrace.swap_projection($1, $2, $3, false, NULL, $4)"

    /// - Returns: why not, where it is near; nil where it is swapped, or far from it.
    private func swap(_ generation: ProjectionGeneration, after attempts: Int) async throws -> String? {
        let names: [PostgresValue] = [.text(generation.projection), .int4(Int32(generation.number))]
        let isNear = try await store.client.query(ProjectionKeeper.isNear, names).single().decode(Bool.self, at: 0)
        guard isNear else { return nil }
        if generation.hasIndexesToMake {
            // As long as it takes.
            try await store.client.withTransaction { transaction in
                try await transaction.query("SET LOCAL statement_timeout = 0")
                try await transaction.query(ProjectionKeeper.makeIndexes, names, timeout: .seconds(86_400))
            }
        }
        let why = try await store.client.query(
            ProjectionKeeper.swap,
            names + [
                .int4(ProjectionKeeper.hold.milliseconds(after: generation.isInline ? 0 : attempts)),
                .int4(ProjectionKeeper.lock.milliseconds(after: attempts)),
            ],
            timeout: ProjectionKeeper.timeout
        ).single().decode(String?.self, at: 0)
        if why == nil { logger.info("a projection was swapped", metadata: details(generation, nil)) }
        return why
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
