/// Bytes in network order.
struct WireBuffer {
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
        let length = Int32(clamping: bytes.count - start).bigEndian
        withUnsafeBytes(of: length) { source in
            for (offset, byte) in source.enumerated() { bytes[start - 4 + offset] = byte }
        }
    }

    /// Forgets the contents; memory beyond `limit` bytes is given back.
    mutating func clear(keeping limit: Int) {
        bytes.removeAll(keepingCapacity: bytes.capacity <= limit)
    }
}
