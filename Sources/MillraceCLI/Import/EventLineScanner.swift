import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Reads a line of an import just far enough to store it: the names are decoded, `event_data` and `metadata` are cut out as
/// they are, for the server to parse.
///
/// It takes only what is an event beyond doubt. Whatever it is not sure of, wrong or merely unusual, it leaves to the
/// database's `import_lines`, which knows what is an event and says why a line is none. So it must never take a line that
/// the database would refuse or read otherwise, and may leave any.
final class EventLineScanner {
    /// 255 characters of UTF-8, the most a name can have.
    private static let longestName = 255 * 4
    private static let longestKey = 64

    private enum Field: Int {
        case eventType, aggregateType, aggregateID, eventData, metadata, eventID, occurredAt, payload, contentType
        // Of a stored event, and given anew.
        case id, version, createdAt
    }

    private static let fields: [(name: StaticString, field: Field)] = [
        ("event_type", .eventType), ("aggregate_type", .aggregateType), ("aggregate_id", .aggregateID),
        ("event_data", .eventData), ("occurred_at", .occurredAt), ("metadata", .metadata), ("event_id", .eventID),
        ("payload", .payload), ("content_type", .contentType), ("id", .id), ("version", .version),
        ("created_at", .createdAt),
    ]

    /// Where names with escapes are decoded to: one place a name, and one for keys.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: (Field.contentType.rawValue + 2) * EventLineScanner.longestName,
        alignment: 1
    )

    deinit { scratch.deallocate() }

    /// Appends the event that `line` is to `rows`; false, and nothing is appended, where it may be none.
    func take(_ line: UnsafeRawBufferPointer, into rows: inout ImportRows) -> Bool {
        var cursor = JSONCursor(line)
        var values = Values()
        cursor.skipSpace()
        guard cursor.take(UInt8(ascii: "{")) else { return false }
        cursor.skipSpace()
        repeat {
            guard let field = key(&cursor), !values.seen.contains(field.rawValue) else { return false }
            values.seen.insert(field.rawValue)
            guard read(field, &cursor, &values) else { return false }
            cursor.skipSpace()
        } while cursor.takeComma()
        guard cursor.take(UInt8(ascii: "}")) else { return false }
        cursor.skipSpace()
        guard cursor.isAtEnd, let type = values.eventType, let aggregateType = values.aggregateType,
            let aggregateID = values.aggregateID, values.eventData != nil || values.payload != nil
        else { return false }
        var event = ImportFields(eventType: type, aggregateType: aggregateType, aggregateID: aggregateID)
        event.eventData = values.eventData
        event.metadata = values.metadata
        event.eventID = values.eventID
        event.occurredAt = values.occurredAt
        event.contentType = values.contentType
        if let payload = values.payload {
            payload.withUnsafeBytes { bytes in
                event.payload = bytes
                rows.append(event)
            }
        } else {
            rows.append(event)
        }
        return true
    }

    /// A set of small numbers.
    private struct FieldSet {
        private var bits: UInt16 = 0
        func contains(_ number: Int) -> Bool { bits & (1 << UInt16(number)) != 0 }
        mutating func insert(_ number: Int) { bits |= 1 << UInt16(number) }
    }

    private struct Values {
        var seen = FieldSet()
        var eventType: UnsafeRawBufferPointer?
        var aggregateType: UnsafeRawBufferPointer?
        var aggregateID: UnsafeRawBufferPointer?
        var eventData: UnsafeRawBufferPointer?
        var metadata: UnsafeRawBufferPointer?
        var eventID: UUID?
        var occurredAt: Int64?
        var payload: [UInt8]?
        var contentType: UnsafeRawBufferPointer?
    }

    /// The field a key names, with the colon behind it read.
    private func key(_ cursor: inout JSONCursor) -> Field? {
        let place = UnsafeMutableRawBufferPointer(
            rebasing: scratch[((Field.contentType.rawValue + 1) * EventLineScanner.longestName)...].prefix(
                EventLineScanner.longestKey
            )
        )
        guard let key = cursor.string(into: place) else { return nil }
        cursor.skipSpace()
        guard cursor.take(UInt8(ascii: ":")) else { return nil }
        cursor.skipSpace()
        for (name, field) in EventLineScanner.fields where name.utf8CodeUnitCount == key.count {
            let expected = UnsafeRawBufferPointer(start: name.utf8Start, count: key.count)
            if expected.elementsEqual(key) { return field }
        }
        return nil
    }

    /// Into the field's place where it has escapes; short enough to be a name.
    private func name(_ field: Field, _ cursor: inout JSONCursor) -> UnsafeRawBufferPointer? {
        let start = field.rawValue * EventLineScanner.longestName
        let place = UnsafeMutableRawBufferPointer(
            rebasing: scratch[start..<(start + EventLineScanner.longestName)]
        )
        guard let name = cursor.string(into: place), (1...EventLineScanner.longestName).contains(name.count) else {
            return nil
        }
        return name
    }

    private func read(_ field: Field, _ cursor: inout JSONCursor, _ values: inout Values) -> Bool {
        switch field {
        case .eventType:
            values.eventType = name(field, &cursor)
            return values.eventType != nil
        case .aggregateType:
            values.aggregateType = name(field, &cursor)
            return values.aggregateType != nil
        case .aggregateID:
            values.aggregateID = name(field, &cursor)
            return values.aggregateID != nil
        case .eventData:
            values.eventData = cursor.value()
            return values.eventData != nil
        case .metadata:
            if cursor.takeNull() { return true }
            guard cursor.isAt(UInt8(ascii: "{")) else { return false }
            values.metadata = cursor.value()
            return values.metadata != nil
        case .eventID:
            if cursor.takeNull() { return true }
            values.eventID = cursor.plainString().flatMap(UUID.init(canonical:))
            return values.eventID != nil
        case .occurredAt:
            if cursor.takeNull() { return true }
            values.occurredAt = cursor.plainString().flatMap(RFC3339Microseconds.parse)
            return values.occurredAt != nil
        case .payload:
            if cursor.takeNull() { return true }
            values.payload = cursor.plainString().flatMap(Base64.decode)
            return values.payload != nil
        case .contentType:
            if cursor.takeNull() { return true }
            values.contentType = name(field, &cursor)
            return values.contentType != nil
        case .id, .version, .createdAt:
            return cursor.takeNull() || cursor.plainString() != nil || cursor.takeInteger()
        }
    }
}

extension UUID {
    /// Of the 36 characters that UUIDs are written with; PostgreSQL takes other forms too.
    fileprivate init?(canonical text: UnsafeRawBufferPointer) {
        guard text.count == 36 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        var digits = 0
        for (index, byte) in text.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = JSONCursor.hexDigit(byte) else { return nil }
            if digits < 16 { high = high << 4 | UInt64(digit) } else { low = low << 4 | UInt64(digit) }
            digits += 1
        }
        self.init(uuid: unsafeBitCast((high.bigEndian, low.bigEndian), to: uuid_t.self))
    }
}

/// Base64 with its padding, nothing in between, and no bits left over.
enum Base64 {
    static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let padding = text.reversed().prefix(2).prefix { $0 == UInt8(ascii: "=") }.count
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        for byte in text.dropLast(padding) {
            guard let value = value(of: byte) else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                decoded.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
                bits &= (1 << UInt32(count)) - 1
            }
        }
        return bits == 0 ? decoded : nil
    }

    private static func value(of byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
