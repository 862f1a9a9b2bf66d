import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// An event as it is stored: immutable, for ever.
///
/// Its text and data stay the bytes that PostgreSQL sent until they are asked for, and are made anew each time: keep what
/// you use often. An event owns its bytes alone, so that one you keep does not keep the page it came with.
public struct RecordedEvent: Sendable, Hashable {
    /// Its place in the order over all events.
    public let position: Position
    public let id: UUID
    /// When it happened, by the publisher's clock.
    public let occurredAt: Date
    /// When it was stored, by PostgreSQL's clock.
    public let createdAt: Date
    private let storedVersion: Int32
    private var presence: Presence
    private var partNumber: UInt16 = 0
    private let ends: Ends
    private let bytes: [UInt8]

    /// Where the fields lie, one behind the other in this order.
    private struct Ends: Hashable {
        var type: UInt32 = 0
        var aggregateType: UInt32 = 0
        var aggregateID: UInt32 = 0
        var data: UInt32 = 0
        var metadata: UInt32 = 0
        var contentType: UInt32 = 0
    }

    private struct Presence: OptionSet, Hashable {
        let rawValue: UInt8
        static let metadata = Presence(rawValue: 1)
        static let payload = Presence(rawValue: 2)
        /// Of the parts of a split event that follow it.
        static let furtherParts = Presence(rawValue: 4)
    }

    public var type: String { text(0..<ends.type) }

    public var stream: StreamID {
        StreamID(text(ends.type..<ends.aggregateType), text(ends.aggregateType..<ends.aggregateID))
    }

    /// Its place in its stream: 1, 2, 3 … without gaps.
    public var version: Int { Int(storedVersion) }

    /// Which of the events it is that ``Upcasters`` made of a stored one, from 0; they have its position, id and version in common. 0 where
    /// there is only this one.
    public var part: Int { Int(partNumber) }

    /// Whether nothing more of the stored event follows: only then is its position one to keep. Of a reader with a filter that is so for the
    /// last part that it wants.
    public var isLastPart: Bool { !presence.contains(.furtherParts) }

    /// Which shape of its type's data it has: the number under `schema_version` in its metadata; 1 where there is none.
    public var schemaVersion: Int { validSchemaVersion ?? 1 }

    public var data: JSON { JSON(utf8: Array(bytes[Int(ends.aggregateID)..<Int(ends.data)])) }

    public var metadata: JSON? {
        guard presence.contains(.metadata) else { return nil }
        return JSON(utf8: Array(bytes[Int(ends.data)..<Int(ends.metadata)]))
    }

    public var payload: OpaquePayload? {
        guard presence.contains(.payload) else { return nil }
        return OpaquePayload(
            bytes: Array(bytes[Int(ends.contentType)...]),
            contentType: text(ends.metadata..<ends.contentType)
        )
    }

    /// The data as a value of the type you expect. Throws `DecodingError`; the event's type is not compared.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSON.decode(type, from: Data(bytes[Int(ends.aggregateID)..<Int(ends.data)]))
    }

    /// Metadata as Millrace understands it; empty where there is none.
    public func decodeMetadata() throws -> EventMetadata { try metadata?.decode() ?? EventMetadata() }

    private func text(_ range: Range<UInt32>) -> String {
        String(decoding: bytes[Int(range.lowerBound)..<Int(range.upperBound)], as: UTF8.self)
    }
}

extension RecordedEvent {
    /// What an array's own header takes, besides its elements.
    private static let allocationOverhead = 32

    /// What it takes in memory.
    var byteCount: Int { MemoryLayout<RecordedEvent>.stride + RecordedEvent.allocationOverhead + bytes.count }

    /// As PostgreSQL compares text: byte by byte, where Swift's strings are equal when they look alike.
    func hasType(_ name: String) -> Bool { has(name, at: 0..<ends.type) }
    func hasAggregateType(_ name: String) -> Bool { has(name, at: ends.type..<ends.aggregateType) }

    /// Whether something in its data may be sealed; a search of its bytes.
    var mayHoldEnvelope: Bool {
        bytes.withUnsafeBytes { bytes in
            UnsafeRawBufferPointer(rebasing: bytes[Int(ends.aggregateID)..<Int(ends.data)]).contains("\"$personal\"")
        }
    }

    /// As ``StreamID/lane(of:)``, without the names.
    func lane(of lanes: Int) -> Int {
        var hash = LaneHash()
        hash.add(bytes[Int(ends.type)..<Int(ends.aggregateType)])
        hash.add(CollectionOfOne(UInt8(ascii: "/")))
        hash.add(bytes[Int(ends.aggregateType)..<Int(ends.aggregateID)])
        return hash.lane(of: lanes)
    }

    /// The same event with other data: what an operator has put in its place for a handler.
    func replacing(_ data: JSON) -> RecordedEvent {
        RecordedEvent(self, type: type, data: data, metadata: metadata, payload: payload)
    }

    /// What the event means now; the rest of it stays.
    init(_ event: RecordedEvent, type: String, data: JSON, metadata: JSON?, payload: OpaquePayload?) {
        position = event.position
        id = event.id
        occurredAt = event.occurredAt
        createdAt = event.createdAt
        storedVersion = event.storedVersion
        (bytes, ends, presence) = RecordedEvent.pack(type, event.stream, data, metadata, payload)
    }

    private static func pack(
        _ type: String,
        _ stream: StreamID,
        _ data: JSON,
        _ metadata: JSON?,
        _ payload: OpaquePayload?
    ) -> ([UInt8], Ends, Presence) {
        var bytes: [UInt8] = []
        var ends = Ends()
        var presence: Presence = []
        func append(_ field: some Collection<UInt8>) -> UInt32 {
            bytes.append(contentsOf: field)
            return UInt32(bytes.count)
        }
        ends.type = append(type.utf8)
        ends.aggregateType = append(stream.aggregateType.utf8)
        ends.aggregateID = append(stream.aggregateID.utf8)
        ends.data = append(data.utf8)
        ends.metadata = append(metadata?.utf8 ?? [])
        ends.contentType = append((payload?.contentType ?? "").utf8)
        _ = append(payload?.bytes ?? [])
        if metadata != nil { presence.insert(.metadata) }
        if payload != nil { presence.insert(.payload) }
        return (bytes, ends, presence)
    }

    /// The same event as one of several.
    func asPart(_ number: Int, isLast: Bool) -> RecordedEvent {
        var event = self
        event.partNumber = UInt16(number)
        if isLast { event.presence.remove(.furtherParts) } else { event.presence.insert(.furtherParts) }
        return event
    }

    static let schemaVersionKey = "schema_version"

    /// nil where the metadata have something else under the key than a positive whole number.
    var validSchemaVersion: Int? {
        guard presence.contains(.metadata) else { return 1 }
        return bytes.withUnsafeBytes { bytes in
            RecordedEvent.schemaVersion(
                in: UnsafeRawBufferPointer(rebasing: bytes[Int(ends.data)..<Int(ends.metadata)])
            )
        }
    }

    static func schemaVersion(in metadata: JSON?) -> Int? {
        guard let metadata else { return 1 }
        return metadata.utf8.withUnsafeBytes { schemaVersion(in: $0) }
    }

    private static func schemaVersion(in metadata: UnsafeRawBufferPointer) -> Int? {
        guard let text = schemaVersionText(in: metadata) else { return 1 }
        guard let version = Int(text), version > 0, text == String(version) else { return nil }
        return version
    }

    /// What stands there, as it is written; the names of jsonb have no escapes that this one could be written with.
    private static func schemaVersionText(in metadata: UnsafeRawBufferPointer) -> String? {
        var cursor = JSONCursor(metadata)
        cursor.skipSpace()
        guard cursor.take(UInt8(ascii: "{")) else { return nil }
        var found: String?
        repeat {
            cursor.skipSpace()
            guard let name = cursor.value() else { return found }
            cursor.skipSpace()
            guard cursor.take(UInt8(ascii: ":")) else { return found }
            cursor.skipSpace()
            guard let value = cursor.value() else { return found }
            if name.dropFirst().dropLast().elementsEqual(schemaVersionKey.utf8) {
                found = String(decoding: value, as: UTF8.self)
            }
            cursor.skipSpace()
        } while cursor.takeComma()
        return found
    }

    private func has(_ name: String, at range: Range<UInt32>) -> Bool {
        name.utf8.count == range.count && bytes[Int(range.lowerBound)..<Int(range.upperBound)].elementsEqual(name.utf8)
    }

    /// Reads the event's columns in the order in which the statements name them. One allocation.
    init(_ row: PostgresRow, firstColumn first: Int) throws {
        position = Position(try row.decode(Int64.self, at: first))
        id = try row.decode(UUID.self, at: first + 1)
        storedVersion = try row.decode(Int32.self, at: first + 5)
        occurredAt = try row.decode(Date.self, at: first + 8)
        createdAt = try row.decode(Date.self, at: first + 9)
        var presence: Presence = []
        if !row.isNull(at: first + 7) { presence.insert(.metadata) }
        if !row.isNull(at: first + 10) { presence.insert(.payload) }
        var ends = Ends()
        bytes = RecordedEvent.pack(row, first, &ends)
        self.ends = ends
        self.presence = presence
    }

    // The binary form of jsonb is the version of that form, 1, and the text.
    private static let jsonbHeader = 1

    private static func pack(_ row: PostgresRow, _ first: Int, _ ends: inout Ends) -> [UInt8] {
        func count(_ column: Int, dropping header: Int = 0) -> Int {
            max(row.byteCount(at: first + column) - header, 0)
        }
        let type = count(2)
        let aggregateType = type + count(3)
        let aggregateID = aggregateType + count(4)
        let data = aggregateID + count(6, dropping: jsonbHeader)
        let metadata = data + count(7, dropping: jsonbHeader)
        let contentType = metadata + count(11)
        let total = contentType + count(10)
        ends = Ends(
            type: UInt32(type),
            aggregateType: UInt32(aggregateType),
            aggregateID: UInt32(aggregateID),
            data: UInt32(data),
            metadata: UInt32(metadata),
            contentType: UInt32(contentType)
        )
        return [UInt8](unsafeUninitializedCapacity: total) { buffer, initialized in
            func copy(_ column: Int, to start: Int, dropping header: Int = 0) {
                row.withBytes(at: first + column) { source in
                    guard source.count > header else { return }
                    UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[start...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[header...]))
                }
            }
            copy(2, to: 0)
            copy(3, to: type)
            copy(4, to: aggregateType)
            copy(6, to: aggregateID, dropping: jsonbHeader)
            copy(7, to: data, dropping: jsonbHeader)
            copy(11, to: metadata)
            copy(10, to: contentType)
            initialized = total
        }
    }

    init(
        position: Position,
        id: UUID = .version7(),
        type: String,
        stream: StreamID,
        version: Int,
        data: JSON = .emptyObject,
        metadata: JSON? = nil,
        payload: OpaquePayload? = nil,
        occurredAt: Date? = nil,
        storedAt date: Date = .now
    ) {
        self.position = position
        self.id = id
        storedVersion = Int32(clamping: version)
        self.occurredAt = occurredAt ?? date
        createdAt = date
        (bytes, ends, presence) = RecordedEvent.pack(type, stream, data, metadata, payload)
    }
}
