#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// One value bound to a `$n`: the OID of its type and its wire form. nil is NULL everywhere.
public struct PostgresValue: Sendable, Hashable {
    /// What is sent; fixed-size values are kept without an allocation.
    enum Payload: Sendable, Hashable {
        case null
        case byte(UInt8)
        case short(Int16)
        case word(Int32)
        case long(Int64)
        case uuid(UInt64, UInt64)
        case utf8(String)
        case bytes([UInt8])
        /// Sent behind the version byte of jsonb.
        case jsonb([UInt8])
    }

    /// 0 lets the server infer the type.
    let typeOID: UInt32
    let payload: Payload
    /// libpq's form: 1 binary, 0 text (NUL-terminated; only where the type is left to the server).
    let format: Int32

    init(_ typeOID: UInt32, _ payload: Payload, format: Int32 = 1) {
        self.typeOID = typeOID
        self.payload = payload
        self.format = format
    }

    /// NULL of a type that the server infers.
    public static var null: Self { Self(0, .null) }

    public static func bool(_ value: Bool?) -> Self {
        Self(PostgresType.bool, value.map { .byte($0 ? 1 : 0) } ?? .null)
    }

    public static func int2(_ value: Int16?) -> Self {
        Self(PostgresType.int2, value.map { .short($0) } ?? .null)
    }

    public static func int4(_ value: Int32?) -> Self {
        Self(PostgresType.int4, value.map { .word($0) } ?? .null)
    }

    public static func int8(_ value: Int64?) -> Self {
        Self(PostgresType.int8, value.map { .long($0) } ?? .null)
    }

    public static func float8(_ value: Double?) -> Self {
        Self(PostgresType.float8, value.map { .long(Int64(bitPattern: $0.bitPattern)) } ?? .null)
    }

    /// The server refuses a NUL character in it (22021).
    public static func text(_ value: String?) -> Self {
        Self(PostgresType.text, value.map { .utf8($0) } ?? .null)
    }

    public static func uuid(_ value: UUID?) -> Self {
        Self(PostgresType.uuid, value.map { .uuid($0) } ?? .null)
    }

    /// Rounded to microseconds; what is beyond the range of timestamptz becomes an infinity.
    public static func timestamptz(_ value: Date?) -> Self {
        Self(PostgresType.timestamptz, value.map { .long(PostgresTimestamp.microseconds($0)) } ?? .null)
    }

    public static func bytea(_ value: [UInt8]?) -> Self {
        Self(PostgresType.bytea, value.map { .bytes($0) } ?? .null)
    }

    /// UTF-8 of a JSON text; the server validates it.
    public static func json(_ value: [UInt8]?) -> Self {
        Self(PostgresType.json, value.map { .bytes($0) } ?? .null)
    }

    /// UTF-8 of a JSON text; the server validates it.
    public static func jsonb(_ value: [UInt8]?) -> Self {
        Self(PostgresType.jsonb, value.map { .jsonb($0) } ?? .null)
    }

    /// Text whose type the server infers from where it stands, as with a quoted literal. It must not contain NUL.
    public static func unknown(_ value: String?) -> Self {
        Self(0, value.map { .utf8($0) } ?? .null, format: value == nil ? 1 : 0)
    }

    /// How many bytes of payload it sends.
    var byteCount: Int {
        switch payload {
        case .null: 0
        case .byte: 1
        case .short: 2
        case .word: 4
        case .long: 8
        case .uuid: 16
        case .utf8(let string): string.utf8.count
        case .bytes(let bytes): bytes.count
        case .jsonb(let bytes): bytes.count + 1
        }
    }

    /// Why it can never be sent, or nil.
    var defect: String? {
        switch payload {
        case .utf8(let string) where format == 0 && string.utf8.contains(0):
            "is untyped text with a NUL character, which PostgreSQL cannot hold"
        case .utf8, .bytes, .jsonb:
            byteCount > PostgresValue.maximumBytes ? "is larger than \(PostgresValue.maximumBytes) bytes" : nil
        case .null, .byte, .short, .word, .long, .uuid: nil
        }
    }

    /// PostgreSQL holds no value larger than 1 GB.
    static let maximumBytes = 1 << 30

    /// Appends the wire form to what is sent; the caller terminates text.
    func encode(into buffer: inout WireBuffer) {
        switch payload {
        case .null: break
        case .byte(let value): buffer.append(value)
        case .short(let value): buffer.append(value)
        case .word(let value): buffer.append(value)
        case .long(let value): buffer.append(value)
        case .uuid(let high, let low):
            buffer.append(high)
            buffer.append(low)
        case .utf8(let string): buffer.append(string)
        case .bytes(let bytes): buffer.append(bytes)
        case .jsonb(let bytes):
            buffer.append(1 as UInt8)
            buffer.append(bytes)
        }
    }
}

extension PostgresValue.Payload {
    static func uuid(_ value: UUID) -> Self {
        let (high, low) = value.bigEndianHalves
        return .uuid(high, low)
    }
}

extension UUID {
    var bigEndianHalves: (UInt64, UInt64) {
        withUnsafeBytes(of: uuid) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }
}
