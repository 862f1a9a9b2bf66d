import Logging
import Subprocess
import Synchronization

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// A server that this process started, and therefore reaps.
final class ServerProcess: Sendable {
    let processID: Int32
    private let run: Task<String, any Error>
    private let end: Ending

    private final class Ending: Sendable {
        let description = Mutex<String?>(nil)
    }

    private init(processID: Int32, run: Task<String, any Error>, end: Ending) {
        self.processID = processID
        self.run = run
        self.end = end
    }

    /// How it ended, nil while it runs.
    var ending: String? { end.description.withLock { $0 } }

    /// Returns when it has ended and was reaped.
    func wait() async throws -> String { try await run.value }

    /// Starts it.
    ///
    /// Its standard input is the locked file: every process of the server inherits the lock and holds it until the
    /// last one is gone, which is the one proof of death that needs neither process ids nor a common process table.
    /// PostgreSQL never reads its standard input.
    static func spawn(
        _ program: Program,
        arguments: [String],
        account: ServerAccount,
        environment: [String: String],
        holding lock: FileLock,
        log: String
    ) async throws -> ServerProcess {
        let output = try FileDescriptor.open(
            FilePath(log),
            .writeOnly,
            options: [.create, .truncate, .closeOnExec, .noFollow],
            permissions: [.ownerReadWrite]
        )
        let command = try program.command(arguments, as: account)
        let (started, report) = AsyncThrowingStream<Int32, any Error>.makeStream()
        let end = Ending()
        let input = FileDescriptor(rawValue: lock.descriptor)
        lock.bequeath()
        // It outlives the call that starts it, and ends with the server or with this process; nothing cancels it,
        // because cancelling would kill the server instead of stopping it.
        let run = Task<String, any Error> {
            defer { try? output.close() }
            do {
                let result = try await Subprocess.run(
                    .path(FilePath(command.path)),
                    arguments: Arguments(command.arguments),
                    environment: .custom(Program.keys(environment)),
                    workingDirectory: "/",
                    platformOptions: Program.options(for: account),
                    input: .fileDescriptor(input, closeAfterSpawningProcess: false),
                    output: .fileDescriptor(output, closeAfterSpawningProcess: false),
                    error: .fileDescriptor(output, closeAfterSpawningProcess: false)
                ) { execution in
                    report.yield(execution.processIdentifier.value)
                }
                let description = "\(result.terminationStatus)"
                end.description.withLock { $0 = description }
                return description
            } catch {
                end.description.withLock { $0 = "\(error)" }
                report.finish(throwing: error)
                throw error
            }
        }
        // Our own hold on the lock has to last until the server has inherited it.
        defer { withExtendedLifetime(lock) {} }
        for try await processID in started {
            return ServerProcess(processID: processID, run: run, end: end)
        }
        throw CancellationError()
    }
}
