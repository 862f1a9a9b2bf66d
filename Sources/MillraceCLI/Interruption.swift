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
        let work = Task { try await body() }
        let watch = Task {
            var isInterrupted = false
            for await _ in signals {
                if isInterrupted { ExitStatus.interrupted.endProcess() }
                isInterrupted = true
                work.cancel()
            }
        }
        defer { watch.cancel() }
        return try await withTaskCancellationHandler {
            try await work.value
        } onCancel: {
            work.cancel()
        }
    }
}
