import Logging
import Millrace

extension EventStore {
    /// Runs a worker that writes projections for as long as the body takes, and stops it in order.
    func projecting(
        _ projections: [Projection],
        options: WorkerOptions = WorkerOptions(lease: .milliseconds(600), beat: .milliseconds(50)),
        _ body: () async throws -> Void
    ) async throws {
        var quiet = Logger(label: "millrace.tests")
        quiet.logLevel = .critical
        let worker = HandlerWorker(
            self,
            projections: projections,
            options: options,
            logger: quiet
        )
        let task = Task { try await worker.run() }
        do {
            try await body()
        } catch {
            worker.stop()
            _ = await task.result
            throw error
        }
        worker.stop()
        try await within(.seconds(60), "the worker stops") { try await task.value }
    }
}
