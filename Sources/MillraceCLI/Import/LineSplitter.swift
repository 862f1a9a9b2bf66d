import Millrace

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Cuts pieces of an input into lines and hashes what it hands out. No more than one line and one piece is held.
struct LineSplitter {
    struct Line: Equatable {
        /// From 1.
        let number: Int64
        /// Without the newline. Of a line that is too long only the beginning.
        let bytes: [UInt8]
        /// Bytes of the line that are not in `bytes`; more than 0 only where it was longer than allowed.
        let cut: Int

        /// Nothing but JSON's white space: no event, and no mistake.
        var isBlank: Bool { cut == 0 && bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D } }
    }

    static let longestLine = 16 << 20

    private let longest: Int
    private var buffer: [UInt8] = []
    /// Where in the buffer the next line begins, and up to where no newline was found.
    private var start = 0
    private var searched = 0
    private var cut = 0
    private(set) var lines: Int64 = 0
    /// Up to the byte `hashedEnd` of the buffer: lines are hashed a piece of the input at a time.
    private var hashed = RunningHash()
    private var hashedEnd = 0

    init(longest: Int = LineSplitter.longestLine) { self.longest = longest }

    /// The next line that is complete; nil where more of the input is needed.
    mutating func next() -> Line? {
        guard let newline = nextNewline() else {
            searched = buffer.count
            shorten()
            return nil
        }
        return handOut(through: newline)
    }

    /// Over all lines handed out, each with a newline behind it, also where the input's last one has none.
    var hash: RunningHash {
        var hash = hashed
        if hashedEnd < start { hash.update(buffer[hashedEnd..<start]) }
        return hash
    }

    /// ``hash``, whose work is not done again.
    mutating func settledHash() -> RunningHash {
        hashed = hash
        hashedEnd = start
        return hashed
    }

    /// Call it where ``next()`` gave nil.
    mutating func feed(_ piece: [UInt8]) {
        if start > 0 {
            _ = settledHash()
            hashedEnd = 0
            buffer.removeSubrange(..<start)
            searched -= start
            start = 0
        }
        buffer.append(contentsOf: piece)
    }

    /// At the input's end: the last line, where no newline ends it.
    mutating func finish() -> Line? {
        if let line = next() { return line }
        return start < buffer.count || cut > 0 ? handOut(through: buffer.count) : nil
    }

    /// What is known of the next line before it is handed out, and whether that is all of it.
    func peek() -> (bytes: [UInt8], isComplete: Bool) {
        let newline = nextNewline()
        return (Array(buffer[start..<(newline ?? buffer.count)]), newline != nil || buffer.count - start > longest)
    }

    private func nextNewline() -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard searched < bytes.count, let base = bytes.baseAddress else { return nil }
            guard let found = memchr(base + searched, 0x0A, bytes.count - searched) else { return nil }
            return UnsafeRawPointer(found) - base
        }
    }

    private mutating func handOut(through end: Int) -> Line {
        if cut == 0, end < buffer.count, end - start <= longest {
            // As nearly every line: its hash waits for those behind it.
            let line = Line(number: lines + 1, bytes: Array(buffer[start..<end]), cut: 0)
            start = end + 1
            searched = start
            lines += 1
            return line
        }
        let kept = min(end, start + longest)
        let rest = buffer[min(kept, end)..<end]
        let line = Line(number: lines + 1, bytes: Array(buffer[start..<kept]), cut: cut + rest.count)
        _ = settledHash()
        if cut == 0 { hashed.update(line.bytes) }
        hashed.update(rest)
        hashed.update(CollectionOfOne(0x0A))
        start = min(end + 1, buffer.count)
        hashedEnd = start
        searched = start
        lines += 1
        cut = 0
        return line
    }

    /// A line that has grown too long keeps its beginning; the rest is hashed and forgotten.
    private mutating func shorten() {
        guard buffer.count - start > longest else { return }
        _ = settledHash()
        if cut == 0 { hashed.update(buffer[start..<(start + longest)]) }
        let rest = buffer[(start + longest)...]
        hashed.update(rest)
        cut += rest.count
        buffer.removeSubrange((start + longest)...)
        searched = buffer.count
    }
}
