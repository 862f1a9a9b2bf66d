import Millrace
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// A program of the user's that reads events on its standard input and writes what is wrong with them; see `EventCheck.main()`.
struct CheckProgram: Sendable {
    /// Bytes that are written to it at a time.
    private static let pieceSize = 256 << 10

    private struct Ending {
        var problems: [EventProblem] = []
        var summary: EventCheckReport?
        /// A line that says neither.
        var stray: String?
    }

    let path: String
    let arguments: [String]
    let problemLimit: Int

    /// - Throws: ``Failure`` where it cannot be started, or did not come to an end that it told of.
    func check(_ events: LogReader, _ progress: (Int) -> Void) async throws -> EventCheckReport {
        let result: ExecutionResult<Ending, SequenceOutput, FileDescriptorOutput>
        do {
            result = try await Subprocess.run(
                path.contains("/") ? .path(FilePath(path)) : .name(path),
                arguments: Arguments(arguments),
                input: .inputWriter,
                output: .sequence,
                error: .currentStandardError
            ) { execution in
                async let ending = Self.listen(to: execution.standardOutput, problemLimit)
                try await Self.feed(events, to: execution.standardInputWriter, progress)
                return try await ending
            }
        } catch let error as SubprocessError {
            throw Failure(.failed, "\(path) cannot be run: \(error)")
        }
        guard var report = result.closureResult.summary else {
            let stray = result.closureResult.stray.map { "; it wrote “\($0.prefix(200).printable)”" } ?? ""
            throw Failure(
                .failed,
                "\(path) ended (\(result.terminationStatus)) without a summary\(stray): it must be made of EventCheck.main()"
            )
        }
        report.take(result.closureResult.problems)
        return report
    }

    private static func feed(_ events: LogReader, to writer: StandardInputWriter, _ progress: (Int) -> Void)
        async throws
    {
        var count = 0
        var piece: [UInt8] = []
        do {
            for try await event in events {
                piece += try EventLine(event: event).json().utf8
                count += 1
                guard piece.count >= pieceSize else { continue }
                _ = try await writer.write(piece)
                piece.removeAll(keepingCapacity: true)
                progress(count)
            }
            _ = try await writer.write(piece)
            try await writer.finish()
        } catch is SubprocessError {
            // It reads no further; what it wrote, and how it ended, says why.
        }
    }

    private static func listen(to output: SubprocessOutputSequence, _ problemLimit: Int) async throws -> Ending {
        var ending = Ending()
        var splitter = LineSplitter()
        func take(_ line: LineSplitter.Line?) -> Bool {
            guard let line else { return false }
            switch try? EventCheckLine.content(of: line.bytes) {
            case .problem(let problem):
                if ending.problems.count < problemLimit { ending.problems.append(problem) }
            case .summary(let summary): ending.summary = summary
            case nil: ending.stray = ending.stray ?? String(decoding: line.bytes, as: UTF8.self)
            }
            return true
        }
        for try await buffer in output {
            splitter.feed(buffer.withUnsafeBytes { Array($0) })
            while take(splitter.next()) {}
        }
        _ = take(splitter.finish())
        return ending
    }
}
