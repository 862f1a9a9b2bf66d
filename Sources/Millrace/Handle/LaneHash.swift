/// CRC-32C, as RFC 3720 describes it (appendix B.4) and PostgreSQL's `crc32c` computes it, a byte at a time.
struct LaneHash {
    // The polynomial 0x1EDC6F41 with its bits reversed.
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78 }
    }

    private var state = UInt32.max

    mutating func add(_ bytes: some Sequence<UInt8>) {
        LaneHash.table.withUnsafeBufferPointer { table in
            for byte in bytes { state = state >> 8 ^ table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] }
        }
    }

    var value: UInt32 { ~state }

    /// Scaled from 32 bits to the number of lanes.
    func lane(of lanes: Int) -> Int { Int((UInt64(value) * UInt64(lanes)) >> 32) }
}

extension StreamID {
    /// Which of a handler's lanes the stream belongs to, 0 to `lanes` less one: what `millrace.lane_of` answers, for ever.
    public func lane(of lanes: Int) -> Int {
        precondition(lanes > 0, "a handler has a lane at least")
        var hash = LaneHash()
        hash.add(aggregateType.utf8)
        hash.add(CollectionOfOne(UInt8(ascii: "/")))
        hash.add(aggregateID.utf8)
        return hash.lane(of: lanes)
    }
}
