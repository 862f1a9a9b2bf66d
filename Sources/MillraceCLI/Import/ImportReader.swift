import Millrace

/// Reads an import's input as chunks of lines.
struct ImportReader {
    /// Lines follow one another from `resumesAfter` + 1 to `through`.
    struct Chunk: Sendable {
        let resumesAfter: Int64
        let lines: [LineSplitter.Line]
        /// All the lines' events, encoded; nil where any line is not beyond doubt.
        let rows: ImportRows?
        /// Of the input, by the end of this chunk.
        let bytesRead: Int64
        let hashBefore: RunningHash
        let hash: RunningHash
        let isLast: Bool

        var through: Int64 { resumesAfter + Int64(lines.count) }

        /// The hash over the input up to and including its line `number`, which must not lie behind a line that was cut.
        func hash(through number: Int64) -> [UInt8] {
            var hash = hashBefore
            for line in lines.prefix(Int(number - resumesAfter)) {
                hash.update(line.bytes)
                hash.update(CollectionOfOne(0x0A))
            }
            return hash.digest()
        }
    }

    /// A chunk's lines together; one line may be longer.
    static let chunkBytes = 8 << 20

    private let input: ImportInput
    private var splitter = LineSplitter()
    private var atEnd = false
    private(set) var bytesRead: Int64 = 0

    init(_ input: ImportInput) { self.input = input }

    var linesRead: Int64 { splitter.lines }
    var prefixHash: [UInt8] { splitter.hash.digest() }

    /// The input's first line, or of an endless one the beginning; still to be read. Empty where the input is.
    mutating func firstLine() async throws -> [UInt8] {
        while true {
            let (bytes, isComplete) = splitter.peek()
            if isComplete || atEnd { return bytes }
            try await readPiece()
        }
    }

    /// Reads on until `count` lines are read; false where the input has fewer.
    mutating func skip(through count: Int64, _ progress: (ImportReader) -> Void) async throws -> Bool {
        while splitter.lines < count {
            guard try await nextLine() != nil else { return false }
            if splitter.lines % 1000 == 0 { progress(self) }
        }
        return true
    }

    mutating func nextChunk(of limit: Int) async throws -> Chunk {
        let resumesAfter = splitter.lines
        let hashBefore = splitter.settledHash()
        let scanner = EventLineScanner()
        var lines: [LineSplitter.Line] = []
        lines.reserveCapacity(limit)
        var rows: ImportRows? = ImportRows()
        var bytes = 0
        while lines.count < limit, bytes < ImportReader.chunkBytes {
            guard let line = try await nextLine() else { break }
            lines.append(line)
            bytes += line.bytes.count
            if !line.isBlank, !scanner.take(line, into: &rows) { rows = nil }
        }
        return Chunk(
            resumesAfter: resumesAfter,
            lines: lines,
            rows: rows.flatMap { $0.count > 0 ? $0 : nil },
            bytesRead: bytesRead,
            hashBefore: hashBefore,
            hash: splitter.settledHash(),
            isLast: atEnd && lines.count < limit && bytes < ImportReader.chunkBytes
        )
    }

    private mutating func nextLine() async throws -> LineSplitter.Line? {
        while true {
            if let line = splitter.next() { return line }
            if atEnd { return splitter.finish() }
            try await readPiece()
        }
    }

    private mutating func readPiece() async throws {
        let piece = try await input.read()
        if bytesRead == 0, piece.starts(with: [0x1F, 0x8B]) {
            throw Failure(
                .badInput,
                "\(input.label) is compressed: gunzip -c \(input.fileName ?? "FILE") | millrace import -"
            )
        }
        bytesRead += Int64(piece.count)
        atEnd = piece.isEmpty
        if !atEnd { splitter.feed(piece) }
    }
}

extension EventLineScanner {
    /// False where the line may be no event, and where there are no rows to append to.
    fileprivate func take(_ line: LineSplitter.Line, into rows: inout ImportRows?) -> Bool {
        guard line.cut == 0, rows != nil else { return false }
        return line.document.withUnsafeBytes { take($0, into: &rows!) }
    }
}
