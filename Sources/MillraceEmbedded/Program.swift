import Foundation
import Subprocess

#if canImport(Darwin)
    import Darwin
    import System
#elseif canImport(Musl)
    import Musl
    import SystemPackage
#else
    import Glibc
    import SystemPackage
#endif

/// A program that is run to its end: one of PostgreSQL's own, or the Python that fetches it.
struct Program: Sendable {
    let path: String

    struct Outcome: Sendable {
        let succeeded: Bool
        let output: String
        let errors: String

        /// The last thing it said, for an error of ours.
        var reason: String {
            let lines = (errors.isEmpty ? output : errors).split(separator: "\n")
            return lines.last.map(String.init) ?? "it gave no reason"
        }
    }

    /// The most that is kept of a program's output, and of its errors.
    static let outputLimit = 1 << 20

    /// Runs it in the root folder (the account may not be able to enter ours) with nothing but the named environment.
    func run(
        _ arguments: [String],
        as account: ServerAccount? = nil,
        environment: [String: String],
        input: [UInt8] = []
    ) async throws -> Outcome {
        guard !input.isEmpty else {
            return try await run(arguments, as: account, environment: environment, input: .none)
        }
        let file = try Self.namelessFile(of: input)
        return try await run(
            arguments,
            as: account,
            environment: environment,
            input: .fileDescriptor(file, closeAfterSpawningProcess: true)
        )
    }

    /// Not a pipe: where the program ends before it has read everything, writing on would end this process with SIGPIPE.
    private static func namelessFile(of bytes: [UInt8]) throws -> FileDescriptor {
        var path = FileManager.default.temporaryDirectory.appending(path: "millrace-input-XXXXXX").path.utf8CString
        let descriptor = path.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        path.withUnsafeBufferPointer { _ = unlink($0.baseAddress!) }
        let file = FileDescriptor(rawValue: descriptor)
        do {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            try file.writeAll(bytes)
            try file.seek(offset: 0, from: .start)
            return file
        } catch {
            try file.close()
            throw error
        }
    }

    /// The same, with a lock to hold through its standard input, should it outlive this process.
    func run(
        _ arguments: [String],
        as account: ServerAccount?,
        environment: [String: String],
        holding lock: FileLock
    ) async throws -> Outcome {
        lock.bequeath()
        defer { withExtendedLifetime(lock) {} }
        let input = FileDescriptor(rawValue: lock.descriptor)
        return try await run(
            arguments,
            as: account,
            environment: environment,
            input: .fileDescriptor(input, closeAfterSpawningProcess: false)
        )
    }

    private func run<Input: InputProtocol>(
        _ arguments: [String],
        as account: ServerAccount?,
        environment: [String: String],
        input: Input
    ) async throws -> Outcome {
        let command = try command(arguments, as: account)
        let result = try await Subprocess.run(
            .path(FilePath(command.path)),
            arguments: Arguments(command.arguments),
            environment: .custom(Self.keys(environment)),
            workingDirectory: "/",
            platformOptions: Self.options(for: account),
            input: input,
            output: .string(limit: Self.outputLimit),
            error: .string(limit: Self.outputLimit)
        )
        return Outcome(
            succeeded: result.terminationStatus.isSuccess,
            output: result.standardOutput,
            errors: result.standardError
        )
    }

    /// In a session of its own, so that a Ctrl-C at the terminal reaches Millrace alone, which ends its children in
    /// order.
    static func options(for account: ServerAccount?) -> PlatformOptions {
        var options = PlatformOptions()
        options.createSession = true
        #if !os(Linux)
            if let account, account.isSwitched {
                options.userID = account.userID
                options.groupID = account.groupID
                options.supplementaryGroups = [account.groupID]
            }
        #endif
        return options
    }

    /// What to spawn so that the program runs under the account, as the spawned process itself.
    ///
    /// On Linux another program changes the account: a child of this process cannot do it between fork and exec, because
    /// glibc's setuid waits there for threads that only the parent has.
    func command(
        _ arguments: [String],
        as account: ServerAccount?
    ) throws(EmbeddedPostgresError) -> (path: String, arguments: [String]) {
        #if os(Linux)
            guard let account, account.isSwitched else { return (path, arguments) }
            let changes = ["--reuid=\(account.userID)", "--regid=\(account.groupID)", "--clear-groups", "--", path]
            let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
            guard let setpriv = folders.map({ $0 + "/setpriv" }).first(where: { access($0, X_OK) == 0 }) else {
                throw .noAccount("and the program setpriv of util-linux, which changes the account, is missing")
            }
            return (setpriv, changes + arguments)
        #else
            return (path, arguments)
        #endif
    }

    /// What PostgreSQL's programs get to see: no PG* variable of the user's may redirect them.
    static func environment(from environment: [String: String], _ more: [String: String] = [:]) -> [String: String] {
        let kept = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"]
        var result = environment.filter { kept.contains($0.key) }
        result["LC_ALL"] = "C"
        return result.merging(more) { _, new in new }
    }

    static func keys(_ environment: [String: String]) -> [Environment.Key: String] {
        var keys: [Environment.Key: String] = [:]
        for (name, value) in environment {
            if let key = Environment.Key(rawValue: name) { keys[key] = value }
        }
        return keys
    }
}
