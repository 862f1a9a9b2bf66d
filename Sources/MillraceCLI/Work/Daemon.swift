import Logging
import Millrace
import MillracePostgres

/// What must run by itself: SQL handlers, the counts of the log, partitions and closed months, sealing. Any number of them at a time.
struct Daemon: Sendable {
    let store: EventStore
    let worker: HandlerWorker
    private let maintenance: StorageMaintenance
    private let ledger: LedgerDuty?

    /// - Parameter ledger: nil: others seal, or nobody.
    init(_ client: PostgresClient, options: WorkerOptions, ledger: LedgerDuty? = nil, logger: Logger) {
        var options = options
        options.runsSQLHandlers = true
        store = EventStore(client, logger: logger)
        worker = HandlerWorker(store, handlers: [], options: options, logger: logger)
        self.ledger = ledger
        maintenance = StorageMaintenance(store, logger: logger)
    }

    /// Works until it is cancelled; then what is under way is finished and the lanes are given back.
    func run() async throws {
        let upkeep = Task { try await maintenance.run() }
        let sealing = Task { try await ledger?.run(store) }
        let work = Task { try await worker.run() }
        await withTaskCancellationHandler {
            _ = await work.result
        } onCancel: {
            worker.stop()
        }
        upkeep.cancel()
        sealing.cancel()
        _ = await upkeep.result
        _ = await sealing.result
        try await work.value
    }
}
