public import Millrace

/// Runs a worker for as long as `body` takes, and stops it in order.
public func working<Value: Sendable>(
    _ worker: HandlerWorker,
    _ body: @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await worker.run() }
        do {
            let value = try await body()
            worker.stop()
            try await group.waitForAll()
            return value
        } catch {
            worker.stop()
            throw error
        }
    }
}
