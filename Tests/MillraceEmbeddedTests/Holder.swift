import Foundation
import Subprocess
import Testing

#if canImport(System)
    import System
#else
    import SystemPackage
#endif
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Another process that holds a folder's server until it is let go or killed.
struct Holder: Sendable {
    let processID: Int32
    let serverProcessID: Int32
    /// The data folder of its server.
    let folder: String
    private let goodbye: AsyncStream<Void>.Continuation
    private let run: Task<Void, Never>

    private static var program: String {
        // The test bundle lies beside the programs of the package.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().path + "/EmbeddedHolder"
    }

    /// - Parameter isAwaited: whether to return only when its server is ready.
    static func start(_ mode: String, _ folder: String, isAwaited: Bool = true) async throws -> Holder {
        let (goodbyes, goodbye) = AsyncStream<Void>.makeStream()
        let (lines, report) = AsyncThrowingStream<(Int32, String), any Error>.makeStream()
        let run = Task {
            do {
                _ = try await Subprocess.run(
                    .path(FilePath(program)),
                    arguments: [mode, folder],
                    input: .inputWriter,
                    output: .sequence,
                    error: .currentStandardError
                ) { execution in
                    let processID = execution.processIdentifier.value
                    if !isAwaited { report.yield((processID, "ready 0 nowhere")) }
                    for try await line in execution.standardOutput.strings() {
                        report.yield((processID, line))
                        if line.hasPrefix("ready") { break }
                    }
                    for await _ in goodbyes {}
                    try await execution.standardInputWriter.finish()
                }
                report.finish()
            } catch {
                report.finish(throwing: error)
            }
        }
        for try await (processID, line) in lines {
            let words = line.split(whereSeparator: \.isWhitespace)
            let server = try #require(words.first == "ready" ? Int32(words[1]) : nil, "the holder said: \(line)")
            return Holder(
                processID: processID,
                serverProcessID: server,
                folder: String(words[2]),
                goodbye: goodbye,
                run: run
            )
        }
        throw Scratch.ScratchError.sql("the holder said nothing")
    }

    /// Asks it to go, and waits until it is gone.
    func leave() async {
        goodbye.finish()
        await run.value
    }

    /// Kills it at once, and waits until it was reaped.
    func kill() async {
        _ = Self.send(SIGKILL, to: processID)
        goodbye.finish()
        await run.value
    }

    private static func send(_ signal: Int32, to processID: Int32) -> Int32 {
        #if canImport(Darwin)
            Darwin.kill(processID, signal)
        #elseif canImport(Musl)
            Musl.kill(processID, signal)
        #else
            Glibc.kill(processID, signal)
        #endif
    }
}

/// Waits for a condition that comes without an event, up to a deadline that only a failure reaches.
func eventually(_ what: Comment, within limit: Duration = .seconds(30), _ holds: () async throws -> Bool) async throws {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while try await !holds() {
        try #require(clock.now < end, what)
        await Task.yield()
    }
}
