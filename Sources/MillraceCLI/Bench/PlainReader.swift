import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A reader of the log in C with libpq alone, compiled for the run: what the same statement costs without any of our code.
struct PlainReader: Sendable {
    static let outputLimit = 64 << 10

    private let folder: String
    private var program: String { folder + "/reader" }

    /// nil where there is no C compiler, or no header of libpq.
    init?() async {
        folder = FileManager.default.temporaryDirectory.path + "/millrace-reader-\(UUID().uuidString)"
        let source = folder + "/reader.c"
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(PackageResources.bench_read_log_c).write(to: URL(fileURLWithPath: source))
            guard let flags = try await Self.output("pkg-config", ["--cflags", "--libs", "libpq"]) else {
                remove()
                return nil
            }
            let arguments =
                ["-O2", "-o", program, source] + flags.split(whereSeparator: \.isWhitespace).map(String.init)
            guard try await Self.output("cc", arguments) != nil else {
                remove()
                return nil
            }
        } catch {
            remove()
            return nil
        }
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// - Throws: ``Failure`` where it could not read.
    func run(database: String, page: Int, for duration: Duration) async throws -> Turn {
        let statement = String(decoding: PackageResources.bench_read_log_sql, as: UTF8.self)
        let arguments = [statement, "\(page)", duration.seconds.fixed(3)]
        let result = try await Subprocess.run(
            .path(FilePath(program)),
            arguments: Arguments(arguments),
            environment: .inherit.updating(["PGDATABASE": database]),
            input: .none,
            output: .string(limit: PlainReader.outputLimit),
            error: .string(limit: PlainReader.outputLimit)
        )
        try Task.checkCancellation()
        let words = result.standardOutput.split(whereSeparator: \.isWhitespace)
        guard result.terminationStatus.isSuccess, words.count == 2, let events = Int(words[0]),
            let seconds = Double(words[1])
        else { throw Failure(.failed, "the reader in C failed: \(result.standardError.printable)") }
        return Turn(events: events, seconds: seconds)
    }

    /// What a program says; nil where it is missing or fails.
    private static func output(_ name: String, _ arguments: [String]) async throws -> String? {
        do {
            let result = try await Subprocess.run(
                .name(name),
                arguments: Arguments(arguments),
                input: .none,
                output: .string(limit: outputLimit),
                error: .discarded
            )
            return result.terminationStatus.isSuccess ? result.standardOutput : nil
        } catch is SubprocessError {
            return nil
        }
    }
}
