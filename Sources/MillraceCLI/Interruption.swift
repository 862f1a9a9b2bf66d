import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Turns Ctrl-C and SIGTERM into the cancellation of a command's work, so that it can put things away.
enum Interruption {
    /// Runs `body`; the first signal cancels it, the second ends the process on the spot.
    static func watching<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { return nil }
                // No signal came: the body is done and this task was cancelled.
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let value = result { return value }
                group.cancelAll()
                Task {
                    for await _ in signals { exit(ExitStatus.interrupted.rawValue) }
                }
            }
            throw CancellationError()
        }
    }
}
