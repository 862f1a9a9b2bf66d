#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Arrays of one dimension; nil elements are NULL, a nil array is NULL. Each is encoded into one buffer.
extension PostgresValue {
    public static func boolArray(_ values: [Bool?]?) -> Self {
        array(PostgresType.boolArray, PostgresType.bool, values, elementBytes: 1) { value, buffer in
            buffer.append(value ? 1 as UInt8 : 0)
        }
    }

    public static func int2Array(_ values: [Int16?]?) -> Self {
        array(PostgresType.int2Array, PostgresType.int2, values, elementBytes: 2) { $1.append($0) }
    }

    public static func int4Array(_ values: [Int32?]?) -> Self {
        array(PostgresType.int4Array, PostgresType.int4, values, elementBytes: 4) { $1.append($0) }
    }

    public static func int8Array(_ values: [Int64?]?) -> Self {
        array(PostgresType.int8Array, PostgresType.int8, values, elementBytes: 8) { $1.append($0) }
    }

    public static func float8Array(_ values: [Double?]?) -> Self {
        array(PostgresType.float8Array, PostgresType.float8, values, elementBytes: 8) { $1.append($0.bitPattern) }
    }

    public static func textArray(_ values: [String?]?) -> Self {
        array(PostgresType.textArray, PostgresType.text, values, elementBytes: 16) { $1.append($0) }
    }

    public static func uuidArray(_ values: [UUID?]?) -> Self {
        array(PostgresType.uuidArray, PostgresType.uuid, values, elementBytes: 16) { value, buffer in
            let (high, low) = value.bigEndianHalves
            buffer.append(high)
            buffer.append(low)
        }
    }

    public static func timestamptzArray(_ values: [Date?]?) -> Self {
        array(PostgresType.timestamptzArray, PostgresType.timestamptz, values, elementBytes: 8) { value, buffer in
            buffer.append(PostgresTimestamp.microseconds(value))
        }
    }

    public static func byteaArray(_ values: [[UInt8]?]?) -> Self {
        array(PostgresType.byteaArray, PostgresType.bytea, values, elementBytes: 32) { $1.append($0) }
    }

    /// UTF-8 of JSON texts; the server validates them.
    public static func jsonbArray(_ values: [[UInt8]?]?) -> Self {
        array(PostgresType.jsonbArray, PostgresType.jsonb, values, elementBytes: 64) { value, buffer in
            buffer.append(1 as UInt8)
            buffer.append(value)
        }
    }

    /// `elementBytes` is what an element is expected to take, for one allocation in the usual case.
    private static func array<Element>(
        _ typeOID: UInt32,
        _ elementOID: UInt32,
        _ values: [Element?]?,
        elementBytes: Int,
        _ encode: (Element, inout WireBuffer) -> Void
    ) -> Self {
        guard let values else { return Self(typeOID, .null) }
        var buffer = ArrayBuffer(elementOID, capacity: values.count * (4 + elementBytes))
        for value in values {
            if let value { buffer.append { encode(value, &$0) } } else { buffer.appendNull() }
        }
        return Self(typeOID, .bytes(buffer.bytes))
    }
}
