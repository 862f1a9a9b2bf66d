#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension EventCheck {
    /// How the program that ``main()`` makes ends, beside 0 where all is well.
    public enum ExitCode {
        public static let problems: Int32 = 1
        /// Its input could not be read, or its output not written.
        public static let broken: Int32 = 74
    }

    /// Bytes of lines that are checked at a time.
    private static let batchBytes = 1 << 20
    /// A longer line is no event: several times what the store takes.
    static let longestLine = 64 << 20

    /// Makes the process a program that checks the events on its standard input and ends.
    ///
    ///     import Millrace
    ///     await EventCheck(upcasters).knowing(OrderPlaced.self, OrderPaid.self).main()
    ///
    /// It reads the lines that `millrace read --json` writes, and writes each ``EventProblem`` as a line of JSON, in the same order, up to
    /// ``problemLimit``; then one more, the ``EventCheckReport`` without the list, with `"kind":"summary"`. Ends with 0 where
    /// ``EventCheckReport/isClean``, with ``ExitCode/problems`` where not. `millrace check-events --program path` runs it on the log.
    public func main() async -> Never {
        do {
            let report = try await check(EventCheckInput(descriptor: STDIN_FILENO))
            exit(report.isClean ? 0 : ExitCode.problems)
        } catch {
            // Where even that cannot be said, the code has to do.
            try? Millrace.write(Array("check-events: \(error)\n".utf8), to: STDERR_FILENO)
            exit(ExitCode.broken)
        }
    }

    private func check(_ input: EventCheckInput) async throws -> EventCheckReport {
        var input = input
        var report = EventCheckReport()
        var isAtEnd = false
        try await withThrowingTaskGroup(of: (Int, EventCheckReport).self) { group in
            var (begun, handedOut) = (0, 0)
            var waiting: [Int: EventCheckReport] = [:]
            while !isAtEnd || handedOut < begun {
                if !isAtEnd, begun - handedOut < EventCheck.pagesAtOnce {
                    let batch = try input.next(EventCheck.batchBytes)
                    isAtEnd = batch.lines.isEmpty
                    if isAtEnd { continue }
                    let number = begun
                    begun += 1
                    group.addTask { (number, self.report(on: batch)) }
                    continue
                }
                guard let (number, found) = try await group.next() else { break }
                waiting[number] = found
                while let next = waiting.removeValue(forKey: handedOut) {
                    handedOut += 1
                    let listed = report.problems.count
                    report.add(next, limit: problemLimit)
                    for problem in report.problems[listed...] { try EventCheckLine(problem).write() }
                }
            }
        }
        try EventCheckLine(summary: report).write()
        return report
    }

    private func report(on batch: EventCheckInput.Batch) -> EventCheckReport {
        var events: [RecordedEvent] = []
        var unreadable: [EventProblem] = []
        for (index, line) in batch.lines.enumerated() where !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D })
        {
            let number = batch.firstLine + index
            do {
                events.append(try RecordedEvent(line: line, number: number))
            } catch {
                unreadable.append(EventProblem(line: number, "\(error)"))
            }
        }
        var report = report(on: events)
        for problem in unreadable { report.add(problem, limit: problemLimit) }
        return report
    }
}

/// Cuts what a file descriptor gives into lines, many at a time.
struct EventCheckInput: Sendable {
    struct Batch: Sendable {
        let firstLine: Int
        let lines: [[UInt8]]
    }

    private static let pieceSize = 256 << 10

    private let descriptor: Int32
    private var rest: [UInt8] = []
    private var isAtEnd = false
    private var lines = 0

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Lines of so many bytes together, or a longer one; none at the end.
    mutating func next(_ bytes: Int) throws -> Batch {
        var end = rest.lastIndex(of: UInt8(ascii: "\n"))
        while !isAtEnd, end == nil || rest.count < bytes {
            let searched = rest.count
            try readPiece()
            end = rest[searched...].lastIndex(of: UInt8(ascii: "\n")) ?? end
            guard end != nil || rest.count <= EventCheck.longestLine else {
                throw EventCheckInputError.lineTooLong(lines + 1)
            }
        }
        let text = isAtEnd ? rest[...] : rest[...(end ?? rest.count - 1)]
        rest = Array(rest[text.endIndex...])
        var found = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        // Behind the last newline.
        if found.last?.isEmpty == true { found.removeLast() }
        defer { lines += found.count }
        return Batch(firstLine: lines + 1, lines: found)
    }

    private mutating func readPiece() throws {
        let old = rest.count
        rest.append(contentsOf: repeatElement(0, count: EventCheckInput.pieceSize))
        let count = rest.withUnsafeMutableBytes { buffer in
            while true {
                let count = read(descriptor, buffer.baseAddress?.advanced(by: old), EventCheckInput.pieceSize)
                if count >= 0 || errno != EINTR { return count }
            }
        }
        guard count >= 0 else { throw EventCheckInputError.unreadable(errno) }
        rest.removeLast(EventCheckInput.pieceSize - count)
        isAtEnd = count == 0
    }
}

enum EventCheckInputError: Error, CustomStringConvertible {
    case lineTooLong(Int)
    case unreadable(Int32)
    case unwritable(Int32)

    var description: String {
        switch self {
        case .lineTooLong(let line): "line \(line) is longer than \(EventCheck.longestLine) bytes"
        case .unreadable(let code): "standard input cannot be read: \(String(cString: strerror(code)))"
        case .unwritable(let code): "standard output cannot be written: \(String(cString: strerror(code)))"
        }
    }
}

/// A line of the program's output.
package struct EventCheckLine: Sendable {
    package static let summary = "summary"

    private struct Summary: Codable {
        let kind: String
        let report: EventCheckReport

        enum CodingKeys: String, CodingKey { case kind }

        init(_ report: EventCheckReport) {
            kind = EventCheckLine.summary
            self.report = report
        }

        init(from decoder: any Swift.Decoder) throws {
            kind = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .kind)
            report = try EventCheckReport(from: decoder)
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(kind, forKey: .kind)
            try report.encode(to: encoder)
        }
    }

    private struct Kind: Decodable { let kind: String }

    private let utf8: [UInt8]

    init(_ problem: EventProblem) throws { utf8 = try EventCheckLine.encoded(problem) }

    init(summary report: EventCheckReport) throws {
        var report = report
        report.problems = []
        utf8 = try EventCheckLine.encoded(Summary(report))
    }

    private static func encoded(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
    }

    /// What a line says.
    package enum Content {
        case problem(EventProblem)
        case summary(EventCheckReport)
    }

    package static func content(of line: [UInt8]) throws -> Content {
        let data = Data(line)
        let decoder = JSONDecoder()
        if try decoder.decode(Kind.self, from: data).kind == summary {
            return .summary(try decoder.decode(Summary.self, from: data).report)
        }
        return .problem(try decoder.decode(EventProblem.self, from: data))
    }

    func write() throws { try Millrace.write(utf8, to: STDOUT_FILENO) }
}

/// All of it, unbuffered.
private func write(_ bytes: [UInt8], to descriptor: Int32) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { writeBytes(descriptor, $0.baseAddress, $0.count) }
        if count >= 0 {
            rest = rest.dropFirst(count)
        } else if errno != EINTR {
            throw EventCheckInputError.unwritable(errno)
        }
    }
}

private func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Glibc)
        Glibc.write(descriptor, bytes, count)
    #elseif canImport(Musl)
        Musl.write(descriptor, bytes, count)
    #else
        Darwin.write(descriptor, bytes, count)
    #endif
}
