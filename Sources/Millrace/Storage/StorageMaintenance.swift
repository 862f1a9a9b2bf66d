public import Logging
import MillracePostgres
public import ServiceLifecycle

/// What a store's tables need now and then: partitions for the months ahead, months that are over closed, old rows of the audit deleted. Several
/// processes may do it at once.
public struct StorageMaintenance: Service {
    /// Partitions are made months ahead, so that one failure matters little.
    public static let interval = Duration.seconds(60 * 60)

    private let store: EventStore
    private let interval: Duration
    private let logger: Logger

    /// - Parameter store: its client's role is a member of `millrace_admin`, or the owner.
    public init(
        _ store: EventStore,
        every interval: Duration = StorageMaintenance.interval,
        logger: Logger = Logger(label: "millrace.maintenance")
    ) {
        self.store = store
        self.interval = interval
        self.logger = logger
    }

    /// Goes on until its task is cancelled or it is shut down gracefully. Never fails, because events of a month without a partition are
    /// stored all the same: failures are logged, and it tries again at the next beat.
    public func run() async throws {
        while !Task.isCancelled {
            do {
                try await maintain()
            } catch {
                if Task.isCancelled { return }
                logger.error("the store's months could not be looked after", metadata: ["error": "\(error)"])
            }
            do { try await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) } } catch { return }
        }
    }

    private static let trimAudit: PostgresStatement = "SELECT millrace.trim_audit($1)"
    /// Rows of the audit that one transaction deletes.
    private static let trimmedAtOnce: Int64 = 10_000

    /// Once. A few round trips, and one for each ten thousand rows of the audit that are too old.
    public func maintain() async throws {
        for row in try await store.client.query(Migrator.makePartitionsAhead) {
            let outcome = try row.decode(String.self, named: "outcome")
            let details: Logger.Metadata = [
                "partition": "\(try row.decode(String.self, named: "partition_name"))", "outcome": "\(outcome)",
            ]
            switch outcome {
            case "created": logger.info("a partition was made", metadata: details)
            case "busy", "in_default": logger.warning("a partition could not be made", metadata: details)
            default: logger.debug("a partition is there", metadata: details)
            }
        }
        try await Migrator(client: store.client).closeMonths()
        var trimmed = StorageMaintenance.trimmedAtOnce
        while trimmed >= StorageMaintenance.trimmedAtOnce {
            trimmed = try await store.client.query(
                StorageMaintenance.trimAudit,
                [.int4(Int32(StorageMaintenance.trimmedAtOnce))]
            ).single().decode(Int64.self, at: 0)
        }
    }
}
