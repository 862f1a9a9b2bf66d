#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// An array of one dimension, encoded element by element into one buffer: for values that are in no array yet.
///
///     var names = PostgresArrayBuilder(of: .text, count: people.count, elementBytes: 16)
///     for person in people { names.append(person.name) }
///     try await session.query("SELECT unnest($1)", [names.value])
///
/// nil elements are NULL. The elements must be of the array's type.
public struct PostgresArrayBuilder: Sendable {
    public enum Element: Sendable {
        case int4, text, uuid, timestamptz, bytea
        /// UTF-8 of JSON texts; the server validates them.
        case jsonb

        fileprivate var typeOID: UInt32 {
            switch self {
            case .int4: PostgresType.int4
            case .text: PostgresType.text
            case .uuid: PostgresType.uuid
            case .timestamptz: PostgresType.timestamptz
            case .bytea: PostgresType.bytea
            case .jsonb: PostgresType.jsonb
            }
        }

        fileprivate var arrayOID: UInt32 {
            switch self {
            case .int4: PostgresType.int4Array
            case .text: PostgresType.textArray
            case .uuid: PostgresType.uuidArray
            case .timestamptz: PostgresType.timestamptzArray
            case .bytea: PostgresType.byteaArray
            case .jsonb: PostgresType.jsonbArray
            }
        }
    }

    private let element: Element
    private var buffer: ArrayBuffer
    /// Elements that are NULL, as long as all are: nothing is written for them before there is another one.
    private var leadingNulls = 0

    /// - Parameters:
    ///   - count: how many elements are to come.
    ///   - elementBytes: what one is expected to take, for one allocation in the usual case.
    public init(of element: Element, count: Int, elementBytes: Int = 0) {
        self.element = element
        buffer = ArrayBuffer(element.typeOID, capacity: elementBytes == 0 ? 0 : count * (4 + elementBytes))
    }

    public mutating func append(_ value: Int32?) {
        guard let value else { return appendNull() }
        begin(.int4)
        buffer.append { $0.append(value) }
    }

    public mutating func append(_ value: String?) {
        guard let value else { return appendNull() }
        begin(.text)
        buffer.append { $0.append(value) }
    }

    public mutating func append(_ value: UUID?) {
        guard let value else { return appendNull() }
        begin(.uuid)
        let (high, low) = value.bigEndianHalves
        buffer.append {
            $0.append(high)
            $0.append(low)
        }
    }

    public mutating func append(_ value: Date?) {
        guard let value else { return appendNull() }
        begin(.timestamptz)
        buffer.append { $0.append(PostgresTimestamp.microseconds(value)) }
    }

    /// An element of bytea or jsonb.
    public mutating func append(_ value: [UInt8]?) {
        guard let value else { return appendNull() }
        let isJSON = element == .jsonb
        begin(isJSON ? .jsonb : .bytea)
        buffer.append {
            if isJSON { $0.append(1 as UInt8) }
            $0.append(value)
        }
    }

    /// The array.
    public var value: PostgresValue {
        var buffer = buffer
        for _ in 0..<leadingNulls { buffer.appendNull() }
        return PostgresValue(element.arrayOID, .bytes(buffer.bytes))
    }

    /// The array, or NULL where there is nothing else in it.
    public var valueUnlessAllNull: PostgresValue {
        buffer.count == 0 ? PostgresValue(element.arrayOID, .null) : value
    }

    private mutating func appendNull() {
        if buffer.count == 0 { leadingNulls += 1 } else { buffer.appendNull() }
    }

    private mutating func begin(_ element: Element) {
        precondition(element == self.element, "an element of \(element) was added to an array of \(self.element)")
        guard leadingNulls > 0 else { return }
        for _ in 0..<leadingNulls { buffer.appendNull() }
        leadingNulls = 0
    }
}

/// The wire form of an array while it grows.
struct ArrayBuffer: Sendable {
    private var buffer: WireBuffer
    private(set) var count = 0

    /// Dimensions, whether there are NULLs, the element's type, the count, the first index.
    private static let headerBytes = 20

    init(_ elementOID: UInt32, capacity: Int) {
        buffer = WireBuffer(capacity: ArrayBuffer.headerBytes + capacity)
        buffer.append(1 as Int32)
        buffer.append(0 as Int32)
        buffer.append(elementOID)
        buffer.append(0 as Int32)
        buffer.append(1 as Int32)
    }

    // The header is kept up to date, so that nothing is copied in the end.
    mutating func append(_ encode: (inout WireBuffer) -> Void) {
        count += 1
        buffer.overwrite(at: 12, Int32(clamping: count))
        let start = buffer.reserveLength()
        encode(&buffer)
        buffer.fillLength(at: start)
    }

    mutating func appendNull() {
        count += 1
        buffer.overwrite(at: 12, Int32(clamping: count))
        buffer.overwrite(at: 4, 1)
        buffer.append(-1 as Int32)
    }

    /// An empty array has no dimension, and ends behind its element's type.
    var bytes: [UInt8] {
        count > 0 ? buffer.bytes : [0, 0, 0, 0, 0, 0, 0, 0] + buffer.bytes[8..<12]
    }
}
