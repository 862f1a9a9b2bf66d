/// Bytes in network order.
struct WireBuffer: Sendable {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    var count: Int { bytes.count }

    mutating func append(_ value: UInt8) {
        bytes.append(value)
    }

    mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ value: String) {
        bytes.append(contentsOf: value.utf8)
    }

    mutating func append(_ value: [UInt8]) {
        bytes.append(contentsOf: value)
    }

    /// Leaves room for a length that is known later.
    mutating func reserveLength() -> Int {
        append(0 as Int32)
        return bytes.count
    }

    mutating func fillLength(at start: Int) {
        overwrite(at: start - 4, Int32(clamping: bytes.count - start))
    }

    mutating func overwrite(at offset: Int, _ value: Int32) {
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Int32.self) }
    }

    /// Forgets the contents; memory beyond `limit` bytes is given back.
    mutating func clear(keeping limit: Int) {
        bytes.removeAll(keepingCapacity: bytes.capacity <= limit)
    }
}
