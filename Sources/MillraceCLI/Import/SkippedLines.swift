import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The file that an import sets its bad lines aside in: newline-delimited JSON, an object a line, with the import's name, the
/// line's number, the reason and the line itself: `text`, or `base64` where it is not UTF-8.
///
/// A chunk's bad lines are on the disk before the chunk is stored, so none is lost when the process is killed; those of a
/// chunk that was not stored are taken out again when the import goes on.
struct SkippedLines {
    struct BadLine: Sendable {
        let line: LineSplitter.Line
        let reason: String
    }

    private struct Entry: Decodable {
        let `import`: String
        let line: Int64
    }

    /// Entries hold whole lines, with escapes.
    private static let longestEntry = 8 * LineSplitter.longestLine

    let path: String
    private let importName: String
    private let descriptor: Int32

    /// Opens the file for the import `importName`, which has dealt with the input's first `lines` lines.
    init(_ path: String, importName: String, after lines: Int64) throws {
        self.path = path
        self.importName = importName
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SkippedLines.failure(path) }
        var status = stat()
        // Nothing to look at in /dev/null or a pipe.
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
        let end = try keptBytes(after: lines)
        guard ftruncate(descriptor, off_t(end)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
            throw SkippedLines.failure(path)
        }
    }

    func close() { _ = closeDescriptor(descriptor) }

    /// Returns when they are on the disk.
    func add(_ bad: [BadLine]) throws {
        var text = ""
        for one in bad { text += entry(one) }
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { writeBytes(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw SkippedLines.failure(path) }
            written += count
        }
        // A pipe or a terminal cannot be flushed, and need not be.
        guard fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS else { throw SkippedLines.failure(path) }
    }

    private func entry(_ bad: BadLine) -> String {
        var object = JSONLine()
        object.add("import", string: importName)
        object.add("line", number: bad.line.number)
        object.add("reason", string: bad.reason)
        if let text = String(validating: bad.line.bytes, as: UTF8.self) {
            object.add("text", string: text)
        } else {
            object.add("base64", string: Data(bad.line.bytes).base64EncodedString())
        }
        if bad.line.cut > 0 { object.add("bytes_cut", number: Int64(bad.line.cut)) }
        return object.line
    }

    /// Up to where the file holds lines that this import has dealt with; a torn last entry is not among them.
    ///
    /// Throws where anything in the file is not an entry of this import, also behind that place: what is taken out of it
    /// has to be known.
    private func keptBytes(after lines: Int64) throws -> Int {
        var splitter = LineSplitter(longest: SkippedLines.longestEntry)
        var kept = 0
        var isDealtWith = true
        var buffer = [UInt8](repeating: 0, count: ImportInput.pieceSize)
        while true {
            let count = buffer.withUnsafeMutableBytes { readBytes(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 else { throw SkippedLines.failure(path) }
            if count == 0 { break }
            splitter.feed(Array(buffer[..<count]))
            while let line = splitter.next() {
                guard let entry = try? JSON(utf8: line.bytes).decode(Entry.self), entry.import == importName else {
                    throw foreign
                }
                isDealtWith = isDealtWith && entry.line <= lines
                if isDealtWith { kept += line.bytes.count + 1 }
            }
        }
        if let torn = splitter.finish(), !isTornEntry(torn.bytes) { throw foreign }
        return kept
    }

    /// Whether these bytes, with no newline behind them, are what a write that was cut short leaves of an entry.
    private func isTornEntry(_ bytes: [UInt8]) -> Bool {
        var object = JSONLine()
        object.add("import", string: importName)
        let head = Array(object.line.utf8.dropLast("}\n".utf8.count)) + Array(",\"line\":".utf8)
        return bytes.starts(with: head) || head.starts(with: bytes)
    }

    private var foreign: Failure {
        Failure(
            .badInput,
            "\(path) holds something else than the bad lines of import “\(importName)”: name another file with "
                + "--skip-bad, or remove this one"
        )
    }

    private static func failure(_ path: String) -> Failure {
        Failure(
            .failed,
            "bad lines cannot be set aside in \(path): \(String(cString: strerror(errno))); nothing after them was stored"
        )
    }
}

private func closeDescriptor(_ descriptor: Int32) -> Int32 { close(descriptor) }
private func readBytes(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
