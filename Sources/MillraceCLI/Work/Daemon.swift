import Logging
import Millrace
import MillracePostgres

/// What must run by itself: SQL handlers, the counts of the log, partitions and closed months. Any number of them at a time.
struct Daemon: Sendable {
    let store: EventStore
    let worker: HandlerWorker
    private let maintenance: StorageMaintenance

    init(_ client: PostgresClient, options: WorkerOptions, logger: Logger) {
        var options = options
        options.runsSQLHandlers = true
        store = EventStore(client, logger: logger)
        worker = HandlerWorker(store, handlers: [], options: options, logger: logger)
        maintenance = StorageMaintenance(store, logger: logger)
    }

    /// Works until it is cancelled; then what is under way is finished and the lanes are given back.
    func run() async throws {
        let upkeep = Task { try await maintenance.run() }
        let work = Task { try await worker.run() }
        await withTaskCancellationHandler {
            _ = await work.result
        } onCancel: {
            worker.stop()
        }
        upkeep.cancel()
        _ = await upkeep.result
        try await work.value
    }
}
