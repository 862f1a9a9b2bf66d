import Foundation
import Testing

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
    func run(_ arguments: [String], input: Data? = nil, _ comment: Comment? = nil) async throws -> Result {
        try await start(arguments, input: input).result()
    }

    /// `arguments` as the shell reads them after `… | millrace`, with `before` on the pipe's other side.
    func pipe(_ before: String, into arguments: [String]) async throws -> Result {
        let words = ([Command.program] + arguments + ["--database-url", database]).map(\.shellQuoted)
        return try await Running("/bin/sh", ["-c", "\(before) | \(words.joined(separator: " "))"], nil, folder).result()
    }

    func start(_ arguments: [String], input: Data? = nil) throws -> Running {
        try Running(Command.program, arguments + ["--database-url", database], input, folder)
    }
}

/// A process under way. Its input and outputs are files, so that nobody waits for a full pipe.
final class Running: Sendable {
    nonisolated(unsafe) private let process = Process()
    private let output: String
    private let error: String
    private let ended: AsyncStream<Void>

    init(_ program: String, _ arguments: [String], _ input: Data?, _ folder: Scratch) throws {
        output = try folder.file("output")
        error = try folder.file("error")
        let (ended, end) = AsyncStream<Void>.makeStream()
        self.ended = ended
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = try input.map { data in
            let path = try folder.file("input", data)
            return try #require(FileHandle(forReadingAtPath: path))
        } ?? FileHandle.nullDevice
        process.standardOutput = try #require(FileHandle(forWritingAtPath: output))
        process.standardError = try #require(FileHandle(forWritingAtPath: error))
        process.terminationHandler = { _ in end.finish() }
        try process.run()
    }

    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
    }

    func result() async throws -> Command.Result {
        for await _ in ended {}
        return Command.Result(
            status: process.terminationStatus,
            output: try String(contentsOfFile: output, encoding: .utf8),
            error: try String(contentsOfFile: error, encoding: .utf8)
        )
    }
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
