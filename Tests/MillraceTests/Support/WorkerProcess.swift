import Foundation
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// A worker in a process of its own (Tests/HandlerProcess), to be killed, stopped and continued.
struct WorkerProcess: Sendable {
    /// Its name in `millrace.handler_workers`, and its application_name.
    let name: String
    let processID: Int32
    private let goodbye: AsyncStream<Void>.Continuation
    private let run: Task<Void, any Error>

    struct Options: Sendable {
        var lease: Duration
        var beat: Duration
        var lanes: Int
        /// Of the read model that it writes instead of handling.
        var projects: [Int] = []
        /// The key with which it seals, instead of handling.
        var seals: String?

        fileprivate var arguments: [String] {
            ["\(lease.inMilliseconds)", "\(beat.inMilliseconds)", "\(lanes)"] + projects.map { "\($0)" }
                + (seals.map { ["seal", $0] } ?? [])
        }
    }

    private static var program: String {
        // The test bundle lies beside the programs of the package.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().path + "/HandlerProcess"
    }

    /// Returns when it runs; it may have no lane yet.
    static func start(_ name: String, on connectionString: String, _ options: Options) async throws -> WorkerProcess {
        let (goodbyes, goodbye) = AsyncStream<Void>.makeStream()
        let (starts, start) = AsyncThrowingStream<Int32, any Error>.makeStream()
        let run = Task {
            do {
                _ = try await Subprocess.run(
                    .path(FilePath(program)),
                    arguments: Arguments([connectionString + " application_name='\(name)'", name] + options.arguments),
                    input: .inputWriter,
                    output: .sequence,
                    error: .currentStandardError
                ) { execution in
                    for try await _ in execution.standardOutput.strings() {
                        start.yield(execution.processIdentifier.value)
                        break
                    }
                    start.finish()
                    for await _ in goodbyes {}
                    try? await execution.standardInputWriter.finish()
                }
            } catch {
                start.finish(throwing: error)
                throw error
            }
        }
        for try await processID in starts {
            return WorkerProcess(name: name, processID: processID, goodbye: goodbye, run: run)
        }
        throw UnexpectedOutcome(what: "the worker \(name) said nothing")
    }

    /// Asks it to stop in order, and waits until it is gone.
    func leave() async throws {
        goodbye.finish()
        try await run.value
    }

    /// kill -9, and waits until it was reaped.
    func kill() async throws {
        try send(SIGKILL)
        goodbye.finish()
        try await run.value
    }

    func stop() throws { try send(SIGSTOP) }
    func go() throws { try send(SIGCONT) }

    private func send(_ signal: Int32) throws {
        guard Foundation.kill(processID, signal) == 0 else { throw PosixFailure(call: "kill", code: errno) }
    }
}

extension Duration {
    fileprivate var inMilliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
