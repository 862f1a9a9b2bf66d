/// What was sealed at once: the leaves by which the tree grew, linked to the block before.
package struct LedgerBlock: Sendable, Hashable {
    /// 1, 2, 3 … without gaps.
    package let number: Int
    /// The hash of the block before; ``LedgerHash/zero`` in the first.
    package let previous: LedgerHash
    /// Of its first event.
    package let first: Position
    /// Of its last event.
    package let last: Position
    /// The tree's, with this block in it.
    package let size: Int
    package let root: LedgerHash
    /// Microseconds since 2000-01-01 00:00:00 UTC.
    package let sealedAt: Int64

    package init(
        number: Int,
        previous: LedgerHash,
        first: Position,
        last: Position,
        size: Int,
        root: LedgerHash,
        sealedAt: Int64
    ) {
        self.number = number
        self.previous = previous
        self.first = first
        self.last = last
        self.size = size
        self.root = root
        self.sealedAt = sealedAt
    }

    package var hash: LedgerHash {
        var bytes: [UInt8] = [1]
        func append(_ number: Int64) { withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) } }
        append(Int64(number))
        bytes += previous.bytes
        append(first.rawValue)
        append(last.rawValue)
        append(Int64(size))
        bytes += root.bytes
        append(sealedAt)
        return LedgerHash(hashing: bytes)
    }
}
