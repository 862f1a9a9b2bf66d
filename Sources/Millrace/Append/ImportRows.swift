import MillracePostgres

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// One event of an import as bytes that are somebody else's, valid for the length of one call.
package struct ImportFields {
    package var eventType: UnsafeRawBufferPointer
    package var aggregateType: UnsafeRawBufferPointer
    package var aggregateID: UnsafeRawBufferPointer
    /// JSON; nil is JSON null.
    package var eventData: UnsafeRawBufferPointer?
    package var metadata: UnsafeRawBufferPointer?
    /// One is made where there is none.
    package var eventID: UUID?
    /// Microseconds since 2000-01-01 UTC; when it is stored where there is none.
    package var occurredAt: Int64?
    package var payload: UnsafeRawBufferPointer?
    package var contentType: UnsafeRawBufferPointer?

    package init(
        eventType: UnsafeRawBufferPointer,
        aggregateType: UnsafeRawBufferPointer,
        aggregateID: UnsafeRawBufferPointer
    ) {
        self.eventType = eventType
        self.aggregateType = aggregateType
        self.aggregateID = aggregateID
    }
}

/// A chunk of an import as the rows of a binary COPY, encoded before anything is known of the database: a row begins with
/// what only the database knows, at fixed places, which ``assign(_:)`` fills in.
package struct ImportRows: Sendable {
    /// A write to the connection; a longer row has one of its own.
    static let blockBytes = 128 << 10

    private struct Row {
        let block: Int32
        let offset: Int32
        let stream: Int32
        let saysWhen: Bool
    }

    private(set) var blocks: [[UInt8]] = []
    private var rows: [Row] = []
    private var streams = ImportNames()
    private var aggregateTypeEnds: [Int] = []
    private var eventsOfStream: [Int32] = []
    private var names = ImportNames()
    private var key: [UInt8] = []
    private var givenIDs: [UUID?] = []
    private var ids = ImportIDs()
    /// JSON as text, with the payload.
    private var largestEvent = 0
    package private(set) var bytes = 0

    package init() {
        var first: [UInt8] = []
        first.reserveCapacity(ImportRows.blockBytes)
        first += ImportRows.signature
        blocks = [first]
    }

    package var count: Int { rows.count }

    /// PGCOPY, then no flags and no extension.
    private static let signature: [UInt8] =
        Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)
    static let trailer: [UInt8] = [0xFF, 0xFF]

    /// In the order of the statement's columns. The first row's bytes, with their lengths.
    private enum Offset {
        static let id = 6
        static let version = 18
        static let createdAt = 26
        static let occurredAt = 38
        static let end = 66
    }

    package mutating func append(_ fields: ImportFields) {
        let stream = number(of: fields)
        eventsOfStream[stream] += 1
        _ = names.number(of: fields.eventType)
        if let contentType = fields.contentType { _ = names.number(of: contentType) }
        if fields.eventID != nil || !givenIDs.isEmpty {
            while givenIDs.count < rows.count { givenIDs.append(nil) }
            givenIDs.append(fields.eventID)
        }
        let content = (fields.eventData?.count ?? 4) + (fields.metadata?.count ?? 0) + (fields.payload?.count ?? 0)
        largestEvent = max(largestEvent, content)
        let length =
            Offset.end + 7 * 4 + 2 + content + fields.eventType.count + fields.aggregateType.count
            + fields.aggregateID.count + (fields.contentType?.count ?? 0)
        var block = openBlock(for: length)
        rows.append(
            Row(
                block: Int32(blocks.count),
                offset: Int32(block.count),
                stream: Int32(stream),
                saysWhen: fields.occurredAt != nil
            )
        )
        encodeFixed(fields, into: &block)
        encodeTexts(fields, into: &block)
        bytes += length
        blocks.append(block)
    }

    /// The block the next row goes to, taken out so that it is appended to in place.
    private mutating func openBlock(for length: Int) -> [UInt8] {
        if let last = blocks.last, last.count + length <= ImportRows.blockBytes { return blocks.removeLast() }
        var block: [UInt8] = []
        block.reserveCapacity(max(ImportRows.blockBytes, length))
        return block
    }

    private mutating func number(of fields: ImportFields) -> Int {
        key.removeAll(keepingCapacity: true)
        key.append(contentsOf: fields.aggregateType)
        // No name has this byte, so that a/bc and ab/c differ.
        key.append(0)
        key.append(contentsOf: fields.aggregateID)
        let number = key.withUnsafeBytes { streams.number(of: $0) }
        if number == eventsOfStream.count {
            eventsOfStream.append(0)
            aggregateTypeEnds.append(fields.aggregateType.count)
        }
        return number
    }

    private mutating func encodeFixed(_ fields: ImportFields, into block: inout [UInt8]) {
        let id = (fields.eventID ?? ids.next()).uuid
        withUnsafeTemporaryAllocation(byteCount: Offset.end, alignment: 8) { row in
            func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
                row.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
            }
            store(12 as Int16, at: 0)
            store(8 as Int32, at: 2)
            store(0 as Int64, at: Offset.id)
            store(4 as Int32, at: 14)
            store(0 as Int32, at: Offset.version)
            store(8 as Int32, at: 22)
            store(0 as Int64, at: Offset.createdAt)
            store(8 as Int32, at: 34)
            store(fields.occurredAt ?? 0, at: Offset.occurredAt)
            store(16 as Int32, at: 46)
            withUnsafeBytes(of: id) { UnsafeMutableRawBufferPointer(rebasing: row[50..<66]).copyMemory(from: $0) }
            block.append(contentsOf: row)
        }
    }

    private func encodeTexts(_ fields: ImportFields, into block: inout [UInt8]) {
        func append(_ field: UnsafeRawBufferPointer?) {
            guard let field else { return appendLength(-1, to: &block) }
            appendLength(Int32(field.count), to: &block)
            block.append(contentsOf: field)
        }
        func appendJSON(_ field: UnsafeRawBufferPointer) {
            appendLength(Int32(field.count + 1), to: &block)
            // The version of jsonb's wire form: text follows.
            block.append(1)
            block.append(contentsOf: field)
        }
        append(fields.eventType)
        append(fields.aggregateType)
        append(fields.aggregateID)
        if let data = fields.eventData {
            appendJSON(data)
        } else {
            ImportRows.null.withUnsafeBytes { appendJSON($0) }
        }
        if let metadata = fields.metadata { appendJSON(metadata) } else { append(nil) }
        append(fields.payload)
        append(fields.contentType)
    }

    private static let null = Array("null".utf8)

    private func appendLength(_ length: Int32, to block: inout [UInt8]) {
        withUnsafeBytes(of: length.bigEndian) { block.append(contentsOf: $0) }
    }
}

extension ImportRows {
    /// What `begin_import_chunk` asks for.
    var announcement: [PostgresValue] {
        var aggregateTypes: [String] = []
        var aggregateIDs: [String] = []
        for number in 0..<streams.count {
            let key = streams[number]
            let end = key.startIndex + aggregateTypeEnds[number]
            aggregateTypes.append(String(decoding: key[..<end], as: UTF8.self))
            aggregateIDs.append(String(decoding: key[(end + 1)...], as: UTF8.self))
        }
        return [
            .textArray(aggregateTypes), .textArray(aggregateIDs), .int4Array(eventsOfStream),
            .textArray((0..<names.count).map { String(decoding: names[$0], as: UTF8.self) }),
            .int4(Int32(clamping: largestEvent)),
            .uuidArray(givenIDs.isEmpty ? nil : givenIDs.filter { $0 != nil }),
        ]
    }

    /// The versions of the streams before the chunk, in the announcement's order; the positions, one an event; the time all
    /// are stored at, in microseconds since 2000-01-01 UTC.
    struct Assignment {
        var baseVersions: [Int32]
        var positions: [Int64]
        var storedAt: Int64
    }

    /// Fills in what the database has assigned: each event the next version of its stream, in their order.
    mutating func assign(_ assignment: Assignment) {
        precondition(assignment.positions.count == rows.count && assignment.baseVersions.count == streams.count)
        var versions = assignment.baseVersions
        var index = 0
        for block in blocks.indices {
            blocks[block].withUnsafeMutableBytes { bytes in
                while index < rows.count, rows[index].block == block {
                    let row = rows[index]
                    let start = Int(row.offset)
                    versions[Int(row.stream)] += 1
                    func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
                        bytes.storeBytes(of: value.bigEndian, toByteOffset: start + offset, as: Value.self)
                    }
                    store(assignment.positions[index], at: Offset.id)
                    store(versions[Int(row.stream)], at: Offset.version)
                    store(assignment.storedAt, at: Offset.createdAt)
                    if !row.saysWhen { store(assignment.storedAt, at: Offset.occurredAt) }
                    index += 1
                }
            }
        }
    }
}

/// UUIDv7s for the events of a chunk, each greater than the one before it, so that their index grows at its end.
///
/// The time of the chunk, then 62 bits that begin at random and grow by random steps.
private struct ImportIDs: Sendable {
    private var high: UInt64 = 0
    private var low: UInt64 = 0
    private var state: UInt64 = 0

    mutating func next() -> UUID {
        if state == 0 { begin() }
        // SplitMix64: the steps only have to be hard to meet by accident.
        state &+= 0x9E37_79B9_7F4A_7C15
        var step = state
        step = (step ^ (step >> 30)) &* 0xBF58_476D_1CE4_E5B9
        step = (step ^ (step >> 27)) &* 0x94D0_49BB_1331_11EB
        step = (step ^ (step >> 31)) & 0xFFFF_FFFF
        low += step + 1
        return UUID(
            uuid: unsafeBitCast((high.bigEndian, (low & (1 << 62 - 1) | 1 << 63).bigEndian), to: uuid_t.self)
        )
    }

    private mutating func begin() {
        var generator = SystemRandomNumberGenerator()
        let ticks = UInt64(max(0, Date().timeIntervalSince1970) * 1000 * 4096)
        high = (ticks >> 12) << 16 | 0x7000 | (ticks & 0xFFF)
        // Room for the steps of many more events than a chunk has.
        low = generator.next() >> 3
        state = generator.next() | 1
    }
}
