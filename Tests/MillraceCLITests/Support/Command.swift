import Foundation
import Subprocess
import Testing

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The program as a person or a script runs it.
struct Command {
    struct Result {
        let status: Int32
        let output: String
        let error: String

        /// The one JSON document of the output.
        func json() throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        }
    }

    /// The test bundle lies beside the programs of the package.
    static var program: String {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().path + "/millrace"
    }

    let database: String
    let folder: Scratch

    /// Runs it to its end.
    func run(_ arguments: [String], input: Data? = nil) async throws -> Result {
        try await start(arguments, input: input).result()
    }

    /// `arguments` as the shell reads them after `… | millrace`, with `before` on the pipe's other side.
    func pipe(_ before: String, into arguments: [String]) async throws -> Result {
        try await shell("\(before) | %", arguments)
    }

    /// `script` in the shell, with the program and its `arguments` in the place of %.
    func shell(_ script: String, _ arguments: [String]) async throws -> Result {
        let words = ([Command.program] + arguments + ["--database-url", database]).map(\.shellQuoted)
        let command = script.replacingOccurrences(of: "%", with: words.joined(separator: " "))
        return try await Running("/bin/sh", ["-c", command], nil, folder).result()
    }

    func start(_ arguments: [String], input: Data? = nil) async throws -> Running {
        try await Running(Command.program, arguments + ["--database-url", database], input, folder)
    }
}

/// A process under way; its input is a file, so that nobody waits for a full pipe.
struct Running: Sendable {
    static let longestOutput = 16 << 20

    private let processID: Int32
    private let ending: Task<Command.Result, any Error>

    init(_ program: String, _ arguments: [String], _ input: Data?, _ folder: Scratch) async throws {
        let (started, start) = AsyncStream<Int32>.makeStream()
        let path = try input.map { try folder.file("input", $0) } ?? "/dev/null"
        ending = Task {
            defer { start.finish() }
            let ended = try await Subprocess.run(
                .path(FilePath(program)),
                arguments: Arguments(arguments),
                input: .fileDescriptor(try FileDescriptor.open(path, .readOnly), closeAfterSpawningProcess: true),
                output: .string(limit: Running.longestOutput),
                error: .string(limit: Running.longestOutput)
            ) { execution in
                start.yield(execution.processIdentifier.value)
                start.finish()
            }
            let status: Int32 =
                switch ended.terminationStatus {
                case .exited(let code): code
                case .signaled(let signal): signal
                }
            return Command.Result(
                status: status,
                output: ended.standardOutput,
                error: ended.standardError
            )
        }
        var processID: Int32?
        for await started in started { processID = started }
        guard let processID else {
            _ = try await ending.value
            throw CancellationError()
        }
        self.processID = processID
    }

    func kill() {
        _ = Foundation.kill(processID, SIGKILL)
    }

    /// What Ctrl-C does.
    func interrupt() {
        _ = Foundation.kill(processID, SIGINT)
    }

    func result() async throws -> Command.Result { try await ending.value }
}

/// A folder for the time of a test.
struct Scratch {
    let path: String

    static func with<Value>(_ body: (Scratch) async throws -> Value) async throws -> Value {
        let path = FileManager.default.temporaryDirectory.path + "/millrace-cli-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await body(Scratch(path: path))
    }

    /// A new file of a name of its own.
    func file(_ stem: String, _ content: Data = Data()) throws -> String {
        let file = "\(path)/\(stem)-\(UUID().uuidString)"
        try content.write(to: URL(fileURLWithPath: file))
        return file
    }

    /// A file of this name, with these lines.
    func file(named name: String, lines: [String]) throws -> String {
        try file(named: name, text: lines.map { $0 + "\n" }.joined())
    }

    func file(named name: String, text: String) throws -> String {
        let file = "\(path)/\(name)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }
}

extension String {
    var shellQuoted: String { "'" + replacingOccurrences(of: "'", with: "'\\''") + "'" }
}

/// Waits until something is so, which nobody notifies of.
func eventually(
    _ what: Comment,
    within deadline: Duration = .seconds(60),
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + deadline
    while try await !condition() {
        try #require(ContinuousClock.now < end, what)
        try await ContinuousClock().sleep(for: .milliseconds(10))
    }
}
