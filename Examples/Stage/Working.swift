public import Millrace

/// Runs a worker for as long as `body` takes, and stops it in order. An error of either ends both.
public func working<Value: Sendable>(
    _ worker: HandlerWorker,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask {
            try await worker.run()
            return nil
        }
        group.addTask {
            defer { worker.stop() }
            return try await body()
        }
        var result: Value?
        for try await value in group { result = value ?? result }
        guard let result else { throw CancellationError() }
        return result
    }
}
