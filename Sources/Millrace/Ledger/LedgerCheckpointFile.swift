#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file of checkpoints, one behind the other, each followed by an empty line. Only ever appended to, so that each copy of the database that was ever
/// published is found by one of them.
public enum LedgerCheckpointFile {
    /// What is read of the end to find the last one: many times what a checkpoint has.
    private static let tailBytes = 64 << 10
    private static let newline = UInt8(ascii: "\n")

    /// All checkpoints in a text; an end that was not written whole is none.
    /// - Throws: where something in it is no note.
    public static func notes(in bytes: [UInt8]) throws(LedgerNoteError) -> [SignedNote] {
        var notes: [SignedNote] = []
        for record in records(bytes[...]).records { notes.append(try SignedNote(Array(record)[...])) }
        return notes
    }

    /// The notes that are whole, where the last one ends, and whether its empty line is missing, as in a file with a single one.
    private static func records(
        _ bytes: ArraySlice<UInt8>
    ) -> (records: [ArraySlice<UInt8>], end: Int, isOpen: Bool) {
        let marker = Array(SignedNote.Signature.marker.utf8)
        var records: [ArraySlice<UInt8>] = []
        var start = bytes.startIndex
        var line = bytes.startIndex
        var isBehindSignature = false
        while let end = bytes[line...].firstIndex(of: newline) {
            if line == end, isBehindSignature {
                records.append(bytes[start..<end])
                start = end + 1
            }
            isBehindSignature = bytes[line..<end].starts(with: marker)
            line = end + 1
        }
        guard isBehindSignature, line == bytes.endIndex else { return (records, start, false) }
        return (records + [bytes[start...]], bytes.endIndex, true)
    }

    /// The file, while one publisher has it.
    struct Writing {
        private let path: String
        private let descriptor: Int32
        private var isOpen = false

        /// Opens it, or makes it. Fails where another process is writing it.
        init(_ path: String) throws {
            self.path = path
            descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw LedgerFileError(path: path, call: "open", code: errno) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                close()
                throw LedgerFileError(path: path, call: "lock", code: code)
            }
        }

        #if canImport(Glibc)
            func close() { _ = Glibc.close(descriptor) }
        #elseif canImport(Musl)
            func close() { _ = Musl.close(descriptor) }
        #else
            func close() { _ = Darwin.close(descriptor) }
        #endif

        private func failure(_ call: String) -> LedgerFileError { LedgerFileError(path: path, call: call, code: errno) }

        /// The last checkpoint; nil where there is none. What an interrupted write of one of this origin has left behind it is cut off.
        mutating func last(of origin: String) throws -> SignedNote? {
            let size = lseek(descriptor, 0, SEEK_END)
            guard size >= 0 else { throw failure("read") }
            let from = max(0, Int(size) - LedgerCheckpointFile.tailBytes)
            var bytes = [UInt8](repeating: 0, count: Int(size) - from)
            var filled = 0
            while filled < bytes.count {
                let (offset, left) = (filled, bytes.count - filled)
                let count = bytes.withUnsafeMutableBytes {
                    pread(descriptor, $0.baseAddress! + offset, left, off_t(from + offset))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("read") }
                filled += count
            }
            let (records, end, isOpen) = LedgerCheckpointFile.records(bytes[...])
            // The first of a tail may be half of one, and with others behind it nobody asks for it.
            guard from == 0 || records.count > 1 else {
                throw LedgerError.storedWrongly("the file \(path) has no checkpoints in its last \(bytes.count) bytes")
            }
            self.isOpen = isOpen
            if from + end < Int(size) {
                let title = "\(origin)\n".utf8
                guard bytes[end...].starts(with: title) || title.starts(with: bytes[end...]) else {
                    throw LedgerError.storedWrongly(
                        "the file \(path) ends with something that is no checkpoint of \(origin)"
                    )
                }
                guard ftruncate(descriptor, off_t(from + end)) == 0 else { throw failure("truncate") }
            }
            return try records.last.map { try SignedNote(Array($0)[...]) }
        }

        /// Writes it whole, to the disk.
        func append(_ note: SignedNote) throws {
            let bytes = Array("\(isOpen ? "\n" : "")\(note)\n".utf8)
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw failure("write") }
                rest = rest.dropFirst(count)
            }
            guard fsync(descriptor) == 0 else { throw failure("sync") }
        }
    }
}

/// A file of the ledger that cannot be used.
public struct LedgerFileError: Error, Sendable, Hashable, CustomStringConvertible {
    let path: String
    let call: String
    let code: Int32

    public var description: String { "cannot \(call) \(path): \(String(cString: strerror(code)))" }
}
