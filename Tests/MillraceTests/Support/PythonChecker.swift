import Foundation
import Testing

@testable import MillraceEmbedded

/// Examples/Ledger/check_ledger.py: what knows nothing of Millrace but its documents.
struct PythonChecker {
    enum Verdict: Equatable {
        /// Exit code 0, with what it has found.
        case right(String)
        /// Exit code 1, with what is wrong.
        case wrong(String)
        /// Exit code 2.
        case noSuchFile(String)
    }

    static let python = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/python3" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    static let missing: Comment = "there is no python3 on this machine"

    private static let script = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Examples/Ledger/check_ledger.py").path

    /// Of a proof's file, with keys as they are given to others.
    static func checkProof(_ file: String, keys: [String]) async throws -> Verdict {
        try await run(["proof", "-"] + keys.flatMap { ["--key", $0] }, on: Array(file.utf8))
    }

    /// Of lines as docs/ledger-format.md has them.
    static func checkChain(_ lines: String) async throws -> Verdict {
        try await run(["chain", "-"], on: Array(lines.utf8))
    }

    private static func run(_ arguments: [String], on input: [UInt8]) async throws -> Verdict {
        let outcome = try await Program(path: "/bin/sh").run(
            ["-c", #""$@"; echo "$?""#, "sh", try #require(python), script] + arguments,
            environment: Program.environment(from: ProcessInfo.processInfo.environment),
            input: input
        )
        var lines = outcome.output.split(separator: "\n").map(String.init)
        let code = lines.popLast()
        let errors = outcome.errors.trimmingCharacters(in: .newlines)
        switch code {
        case "0": return .right(lines.joined(separator: "\n"))
        case "1" where errors.hasPrefix("WRONG: "): return .wrong(errors)
        case "2": return .noSuchFile(errors)
        default: throw UnexpectedOutcome(what: "exit code \(code ?? "none"): \(errors)")
        }
    }
}
