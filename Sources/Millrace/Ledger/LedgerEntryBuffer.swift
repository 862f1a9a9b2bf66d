package import MillracePostgres

/// The entry of one event at a time, in memory that is used again. What it hashes lies in one piece.
package struct LedgerEntryBuffer: Sendable {
    /// In front of the entry there is room for what is hashed before it: a stream's previous hash, or the byte that marks a leaf.
    private static let front = LedgerHash.byteCount
    private static let form: UInt8 = 1
    private static let columns = LedgerColumn.allCases
    private static let forms = columns.map(\.form)

    private var bytes: [UInt8]
    /// Where each column ends.
    private var ends: [Int]

    /// Holds no event yet.
    package init() {
        bytes = [UInt8](repeating: 0, count: 4096)
        ends = [Int](repeating: LedgerEntryBuffer.front, count: LedgerEntryBuffer.columns.count)
    }

    /// Takes the event of a row whose columns are those of `millrace.events`, in their order and in binary form. No allocation, unless it is larger
    /// than every one before.
    /// - Throws: where a column has what it cannot have, NULL for example; the buffer then holds no event.
    package mutating func encode(_ row: PostgresRow, firstColumn: Int = 0) throws(LedgerEntryError) {
        try encode { place, buffer in
            row.withBytes(at: firstColumn + place) { cell in
                // A value of no bytes is rare, and NULL looks like it.
                buffer.take(cell, place, isNull: cell.isEmpty && row.isNull(at: firstColumn + place))
            }
        }
    }

    /// The same from the values as they are on the wire, in the order of ``LedgerColumn``.
    mutating func encode(_ values: [[UInt8]?]) throws(LedgerEntryError) {
        try encode { place, buffer in
            guard let value = values[place] else {
                return buffer.take(UnsafeRawBufferPointer(start: nil, count: 0), place, isNull: true)
            }
            return value.withUnsafeBytes { buffer.take($0, place, isNull: false) }
        }
    }

    @inline(__always)
    private mutating func encode(
        _ column: (_ place: Int, _ buffer: inout LedgerEntryBuffer) -> Bool
    ) throws(LedgerEntryError) {
        bytes[LedgerEntryBuffer.front] = LedgerEntryBuffer.form
        for place in 0..<LedgerEntryBuffer.columns.count where !column(place, &self) {
            throw .invalid(field: LedgerEntryBuffer.columns[place].rawValue)
        }
    }

    private func start(of place: Int) -> Int { place == 0 ? LedgerEntryBuffer.front + 1 : ends[place - 1] }

    /// Writes the column behind the one before; false where that cannot be its value.
    private mutating func take(_ cell: UnsafeRawBufferPointer, _ place: Int, isNull: Bool) -> Bool {
        var end = start(of: place)
        // The most that a column has besides its value is a flag and a length.
        if end + cell.count + 5 > bytes.count {
            bytes.append(contentsOf: repeatElement(0, count: max(bytes.count, end + cell.count + 5 - bytes.count)))
        }
        var value = cell
        switch LedgerEntryBuffer.forms[place] {
        case .fixed(let count):
            guard !isNull, cell.count == count else { return false }
        case .sized(let isOptional, let isJSON):
            guard isOptional || !isNull else { return false }
            if isOptional {
                bytes[end] = isNull ? 0 : 1
                end += 1
            }
            if isNull { break }
            if isJSON {
                // The binary form of jsonb is the version of that form, 1, and the text.
                guard cell.first == 1 else { return false }
                value = UnsafeRawBufferPointer(rebasing: cell.dropFirst())
            }
            let length = UInt32(value.count).bigEndian
            bytes.withUnsafeMutableBytes { $0.storeBytes(of: length, toByteOffset: end, as: UInt32.self) }
            end += 4
        }
        if !value.isEmpty {
            bytes.withUnsafeMutableBytes { buffer in
                UnsafeMutableRawBufferPointer(rebasing: buffer[end..<(end + value.count)]).copyMemory(from: value)
            }
        }
        ends[place] = end + value.count
        return true
    }
}

extension LedgerEntryBuffer {
    private var end: Int { ends[ends.count - 1] }
    private var canonicalEnd: Int { ends[LedgerColumn.contentType.place] }

    /// The entry, valid during `body`.
    package func withEntry<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes {
            try body(UnsafeRawBufferPointer(rebasing: $0[LedgerEntryBuffer.front..<end]))
        }
    }

    package var entry: [UInt8] { Array(bytes[LedgerEntryBuffer.front..<end]) }

    /// What the event is in the tree. One SHA-256 over the entry.
    package var leafHash: LedgerHash {
        // The byte before the entry is 0, but while a chain hash is computed.
        bytes.withUnsafeBytes {
            LedgerHash(hashing: UnsafeRawBufferPointer(rebasing: $0[(LedgerEntryBuffer.front - 1)..<end]))
        }
    }

    /// What the event's `current_hash` has to be, behind an event with this one. One SHA-256 over the canonical form.
    package mutating func chainHash(after previous: LedgerHash) -> LedgerHash {
        let end = canonicalEnd
        return bytes.withUnsafeMutableBytes { buffer in
            let front = UnsafeMutableRawBufferPointer(rebasing: buffer[..<LedgerEntryBuffer.front])
            previous.withBytes { front.copyMemory(from: $0) }
            defer { buffer[LedgerEntryBuffer.front - 1] = 0 }
            return LedgerHash(hashing: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<end]))
        }
    }

    /// Two bytes for each of ``LedgerColumn/digested``, put at the end of `digests`.
    package func appendColumnDigests(to digests: inout [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            for place in 1..<ends.count {
                var hash: UInt32 = 0x811C_9DC5
                for index in ends[place - 1]..<ends[place] { hash = (hash ^ UInt32(buffer[index])) &* 0x0100_0193 }
                let digest = UInt16(truncatingIfNeeded: hash >> 16) ^ UInt16(truncatingIfNeeded: hash)
                digests.append(UInt8(digest >> 8))
                digests.append(UInt8(truncatingIfNeeded: digest))
            }
        }
    }

    package var columnDigests: [UInt8] {
        var digests: [UInt8] = []
        digests.reserveCapacity(LedgerColumn.digestBytes)
        appendColumnDigests(to: &digests)
        return digests
    }

    /// The column's value without length and flag, valid during `body`; nil where it is NULL.
    package func withValue<R>(of column: LedgerColumn, _ body: (UnsafeRawBufferPointer?) throws -> R) rethrows -> R {
        let place = column.place
        var start = start(of: place)
        if case .sized(let isOptional, _) = column.form {
            if isOptional, bytes[start] == 0 { return try body(nil) }
            start += isOptional ? 5 : 4
        }
        return try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start..<ends[place]])) }
    }

    package func isNull(_ column: LedgerColumn) -> Bool { withValue(of: column) { $0 == nil } }

    /// nil where the column is NULL or has no 32 bytes.
    package func hash(in column: LedgerColumn) -> LedgerHash? {
        withValue(of: column) { value in
            guard let value, value.count == LedgerHash.byteCount else { return nil }
            return LedgerHash(copying: value)
        }
    }

    /// The event's.
    package var position: Int64 {
        withValue(of: .id) { Int64(bigEndian: $0?.loadUnaligned(as: Int64.self) ?? 0) }
    }
}
