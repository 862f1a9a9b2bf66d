import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// An event as the ledger has it: each of its fields, and the bytes that are hashed.
public struct LedgerEntry: Sendable, Hashable {
    /// Its place in the order over all events.
    public let position: Position
    public let id: UUID
    public let type: String
    public let stream: StreamID
    /// Its place in its stream: 1, 2, 3 … without gaps.
    public let version: Int
    /// As PostgreSQL writes it: `event_data::text`.
    public let data: JSON
    public let metadata: JSON?
    /// When it happened, by the publisher's clock.
    public let occurredAt: Date
    /// When it was stored, by PostgreSQL's clock.
    public let createdAt: Date
    public let payload: [UInt8]?
    public let contentType: String?
    /// The ``currentHash`` of its stream's version before it, where its stream is chained.
    public let previousHash: LedgerHash?
    /// nil where its stream is not chained.
    public let currentHash: LedgerHash?
    /// The entry itself: its leaf in the tree is the hash of these.
    public let bytes: [UInt8]
    private let canonicalCount: Int

    /// Reads an entry.
    /// - Throws: where these bytes are none, to the last one of them.
    public init(bytes: [UInt8]) throws(LedgerEntryError) {
        var cursor = LedgerEntryCursor(bytes)
        try cursor.takeForm()
        position = Position(Int64(bigEndian: try cursor.integer(.id)))
        id = UUID(uuid: try cursor.uuid(.eventID))
        type = try cursor.text(.eventType)
        stream = StreamID(try cursor.text(.aggregateType), try cursor.text(.aggregateID))
        version = Int(Int32(bigEndian: try cursor.integer(.version)))
        data = JSON(try cursor.text(.eventData))
        metadata = try cursor.optionalText(.metadata).map { JSON($0) }
        occurredAt = PostgresTimestamp.date(Int64(bigEndian: try cursor.integer(.occurredAt)))
        createdAt = PostgresTimestamp.date(Int64(bigEndian: try cursor.integer(.createdAt)))
        payload = try cursor.optional(.payload).map { Array($0) }
        contentType = try cursor.optionalText(.contentType)
        canonicalCount = cursor.offset
        previousHash = try cursor.hash(.previousHash)
        currentHash = try cursor.hash(.currentHash)
        try cursor.finish()
        self.bytes = bytes
    }

    /// What the event is in the tree.
    public var leafHash: LedgerHash { MerkleTree.leafHash(of: bytes) }

    /// Whether its ``currentHash`` follows from its fields and its ``previousHash``; true where it has neither.
    public var isLinked: Bool {
        switch (previousHash, currentHash) {
        case (nil, nil): true
        case (let previous?, let current?): chainHash(after: previous) == current
        case (nil, .some), (.some, nil): false
        }
    }

    /// What its `current_hash` has to be, behind an event with this one.
    package func chainHash(after previous: LedgerHash) -> LedgerHash {
        LedgerHash(hashing: previous.bytes + bytes[..<canonicalCount])
    }
}

extension LedgerEntry {
    /// The entry of these fields.
    package init(
        position: Position,
        id: UUID,
        type: String,
        stream: StreamID,
        version: Int,
        data: JSON,
        metadata: JSON? = nil,
        occurredAt: Date,
        createdAt: Date,
        payload: OpaquePayload? = nil,
        previousHash: LedgerHash? = nil,
        currentHash: LedgerHash? = nil
    ) throws(LedgerEntryError) {
        func wire(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
        var buffer = LedgerEntryBuffer()
        try buffer.encode([
            wire(position.rawValue), withUnsafeBytes(of: id.uuid) { Array($0) }, Array(type.utf8),
            Array(stream.aggregateType.utf8), Array(stream.aggregateID.utf8), wire(Int32(version)), [1] + data.utf8,
            metadata.map { [1] + $0.utf8 }, wire(PostgresTimestamp.microseconds(occurredAt)),
            wire(PostgresTimestamp.microseconds(createdAt)), payload?.bytes, payload.map { Array($0.contentType.utf8) },
            previousHash?.bytes, currentHash?.bytes,
        ])
        try self.init(bytes: buffer.entry)
    }

    /// The same event with the hashes that it has behind an event with this one.
    package func linked(after previous: LedgerHash) throws(LedgerEntryError) -> LedgerEntry {
        func flagged(_ hash: LedgerHash) -> [UInt8] { [1, 0, 0, 0, UInt8(LedgerHash.byteCount)] + hash.bytes }
        let hash = chainHash(after: previous)
        return try LedgerEntry(bytes: bytes[..<canonicalCount] + flagged(previous) + flagged(hash))
    }
}

/// Reads an entry's fields one after the other.
private struct LedgerEntryCursor {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func takeForm() throws(LedgerEntryError) {
        guard let form = bytes.first else { throw .endsEarly(field: "form") }
        guard form == 1 else { throw .unknownForm(form) }
        offset = 1
    }

    mutating func take(_ count: Int, of column: LedgerColumn) throws(LedgerEntryError) -> ArraySlice<UInt8> {
        guard count <= bytes.count - offset else { throw .endsEarly(field: column.rawValue) }
        defer { offset += count }
        return bytes[offset..<(offset + count)]
    }

    /// In the order of its bytes.
    mutating func integer<Number: FixedWidthInteger & BitwiseCopyable>(
        _ column: LedgerColumn
    ) throws(LedgerEntryError) -> Number {
        let taken = try take(MemoryLayout<Number>.size, of: column)
        return taken.withUnsafeBytes { $0.loadUnaligned(as: Number.self) }
    }

    mutating func uuid(_ column: LedgerColumn) throws(LedgerEntryError) -> uuid_t {
        let taken = try take(MemoryLayout<uuid_t>.size, of: column)
        return taken.withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }
    }

    mutating func sized(_ column: LedgerColumn) throws(LedgerEntryError) -> ArraySlice<UInt8> {
        let length = UInt32(bigEndian: try integer(column))
        return try take(Int(length), of: column)
    }

    mutating func optional(_ column: LedgerColumn) throws(LedgerEntryError) -> ArraySlice<UInt8>? {
        switch try take(1, of: column).first {
        case 0: return nil
        case 1: return try sized(column)
        default: throw .invalid(field: column.rawValue)
        }
    }

    mutating func text(_ column: LedgerColumn) throws(LedgerEntryError) -> String {
        try checked(try sized(column), column)
    }

    mutating func optionalText(_ column: LedgerColumn) throws(LedgerEntryError) -> String? {
        guard let bytes = try optional(column) else { return nil }
        return try checked(bytes, column)
    }

    mutating func hash(_ column: LedgerColumn) throws(LedgerEntryError) -> LedgerHash? {
        guard let bytes = try optional(column) else { return nil }
        guard let hash = LedgerHash(bytes) else { throw .invalid(field: column.rawValue) }
        return hash
    }

    private func checked(_ bytes: ArraySlice<UInt8>, _ column: LedgerColumn) throws(LedgerEntryError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalid(field: column.rawValue) }
        return text
    }

    func finish() throws(LedgerEntryError) {
        if offset < bytes.count { throw .goesOn(bytes: bytes.count - offset) }
    }
}
