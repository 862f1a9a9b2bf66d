#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A value on the wire: the OID of its type and its binary form, nil for NULL. Valid only while it is decoded.
public struct PostgresCell {
    public let typeOID: UInt32
    public let bytes: UnsafeRawBufferPointer?

    public init(typeOID: UInt32, bytes: UnsafeRawBufferPointer?) {
        self.typeOID = typeOID
        self.bytes = bytes
    }
}

/// Why a cell could not be decoded; the row adds the column's name and type.
public enum PostgresCellFailure: Error, Sendable, Hashable {
    case null
    /// The type on the wire is another one; `cast` is what the statement can cast the column to.
    case type(cast: String)
    case malformed
    case outOfRange(String)
    case dimensions(Int)

    func reason(typeOID: UInt32) -> String {
        switch self {
        case .null: "it is NULL; decode it as an Optional"
        case .type(let cast):
            "its type is another one; cast it to \(cast) in the statement, or decode it as its own type"
        case .malformed: "its bytes are not a valid value of the type"
        case .outOfRange(let value): "\(value) does not fit"
        case .dimensions(let count): "it is an array of \(count) dimensions, and only one can be decoded"
        }
    }
}

/// A type that a column can be decoded as.
///
/// Bool, Int16, Int32, Int64, Int, Float, Double, String, UUID, Date, `[UInt8]` (bytea, or the UTF-8 of json, jsonb and
/// text), arrays of one dimension of these, and Optionals of all.
public protocol PostgresDecodable {
    static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Self
    /// How an array of them is decoded; the default reads a PostgreSQL array.
    static func decodeArray(_ cell: PostgresCell) throws(PostgresCellFailure) -> [Self]
}

extension PostgresCell {
    @usableFromInline
    func required() throws(PostgresCellFailure) -> UnsafeRawBufferPointer {
        guard let bytes else { throw .null }
        return bytes
    }

    @usableFromInline
    func integer<Value: FixedWidthInteger>(
        _ bytes: UnsafeRawBufferPointer,
        as type: Value.Type
    ) throws(PostgresCellFailure) -> Value {
        guard bytes.count == MemoryLayout<Value>.size else { throw .malformed }
        return Value(bigEndian: bytes.loadUnaligned(as: Value.self))
    }

    /// Any of the server's integer types, widened.
    @usableFromInline
    func anyInteger() throws(PostgresCellFailure) -> Int64 {
        let bytes = try required()
        switch typeOID {
        case PostgresType.int8: return try integer(bytes, as: Int64.self)
        case PostgresType.int4: return Int64(try integer(bytes, as: Int32.self))
        case PostgresType.int2: return Int64(try integer(bytes, as: Int16.self))
        case PostgresType.oid: return Int64(try integer(bytes, as: UInt32.self))
        default: throw .type(cast: "int8")
        }
    }

    @usableFromInline
    func narrow<Value: FixedWidthInteger>() throws(PostgresCellFailure) -> Value {
        let wide = try anyInteger()
        guard let value = Value(exactly: wide) else { throw .outOfRange(String(wide)) }
        return value
    }

    /// The UTF-8 of text, and of json and jsonb (behind its version byte).
    @usableFromInline
    func utf8() throws(PostgresCellFailure) -> UnsafeRawBufferPointer {
        let bytes = try required()
        switch typeOID {
        case PostgresType.text, PostgresType.varchar, PostgresType.bpchar, PostgresType.name, PostgresType.json,
            PostgresType.unknown, PostgresType.xml, PostgresType.char:
            return bytes
        case PostgresType.jsonb:
            guard bytes.first == 1 else { throw .malformed }
            return UnsafeRawBufferPointer(rebasing: bytes[1...])
        default: throw .type(cast: "text")
        }
    }
}

extension Bool: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Bool {
        let bytes = try cell.required()
        guard cell.typeOID == PostgresType.bool else { throw .type(cast: "bool") }
        return try cell.integer(bytes, as: UInt8.self) != 0
    }
}

extension Int16: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Int16 { try cell.narrow() }
}

extension Int32: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Int32 { try cell.narrow() }
}

extension Int64: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Int64 { try cell.anyInteger() }
}

extension Int: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Int { try cell.narrow() }
}

/// The one-byte type `"char"`; an array of them is a bytea, or the UTF-8 of json, jsonb and text.
extension UInt8: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> UInt8 {
        let bytes = try cell.required()
        guard cell.typeOID == PostgresType.char else { throw .type(cast: "\"char\"") }
        return try cell.integer(bytes, as: UInt8.self)
    }

    public static func decodeArray(_ cell: PostgresCell) throws(PostgresCellFailure) -> [UInt8] {
        let bytes = try cell.required()
        if cell.typeOID == PostgresType.bytea { return [UInt8](bytes) }
        do {
            return [UInt8](try cell.utf8())
        } catch {
            throw .type(cast: "bytea")
        }
    }
}

extension Double: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Double {
        let bytes = try cell.required()
        switch cell.typeOID {
        case PostgresType.float8: return Double(bitPattern: try cell.integer(bytes, as: UInt64.self))
        case PostgresType.float4: return Double(Float(bitPattern: try cell.integer(bytes, as: UInt32.self)))
        default: throw .type(cast: "float8")
        }
    }
}

extension Float: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Float {
        let bytes = try cell.required()
        guard cell.typeOID == PostgresType.float4 else { throw .type(cast: "float4") }
        return Float(bitPattern: try cell.integer(bytes, as: UInt32.self))
    }
}

extension String: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> String {
        // The session's client_encoding is UTF8, so that the server has made sure of it.
        String(decoding: try cell.utf8(), as: UTF8.self)
    }
}

extension UUID: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> UUID {
        let bytes = try cell.required()
        guard cell.typeOID == PostgresType.uuid else { throw .type(cast: "uuid") }
        guard bytes.count == 16 else { throw .malformed }
        return UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
    }
}

extension Date: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Date {
        let bytes = try cell.required()
        guard cell.typeOID == PostgresType.timestamptz else { throw .type(cast: "timestamptz") }
        return PostgresTimestamp.date(try cell.integer(bytes, as: Int64.self))
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> Wrapped? {
        if cell.bytes == nil { return nil }
        return try Wrapped.decode(cell)
    }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresCellFailure) -> [Element] {
        try Element.decodeArray(cell)
    }
}

extension PostgresDecodable {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresCellFailure) -> [Self] {
        let bytes = try cell.required()
        var reader = ArrayReader(bytes: bytes)
        // The header of an array names its element type, which is never 0; anything else is not an array.
        guard PostgresType.arrayElements.contains(cell.typeOID) else {
            throw .type(cast: "an array of a built-in type")
        }
        let dimensions = try reader.integer()
        _ = try reader.integer()
        let elementType = UInt32(bitPattern: try reader.integer())
        if dimensions == 0 { return [] }
        guard dimensions == 1 else { throw .dimensions(Int(dimensions)) }
        let count = try reader.integer()
        _ = try reader.integer()
        // Each element takes four bytes at least, so that a broken count cannot reserve memory without end.
        guard count >= 0, Int(count) <= bytes.count / 4 else { throw .malformed }
        var values: [Self] = []
        values.reserveCapacity(Int(count))
        for _ in 0..<count {
            values.append(try Self.decode(PostgresCell(typeOID: elementType, bytes: try reader.element())))
        }
        return values
    }
}

/// Reads the binary form of an array from its beginning.
private struct ArrayReader {
    var bytes: UnsafeRawBufferPointer
    var offset = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func integer() throws(PostgresCellFailure) -> Int32 {
        guard bytes.count - offset >= 4 else { throw .malformed }
        defer { offset += 4 }
        return Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }

    mutating func element() throws(PostgresCellFailure) -> UnsafeRawBufferPointer? {
        let length = Int(try integer())
        if length == -1 { return nil }
        guard length >= 0, length <= bytes.count - offset else { throw .malformed }
        defer { offset += length }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
    }
}
