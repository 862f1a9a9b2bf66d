/// The tree of RFC 6962, section 2.1.
package enum MerkleTree {
    /// The root of no leaves.
    package static let emptyRoot = LedgerHash(hashing: [])

    /// A subtree of 256^k leaves has level k in what is stored; a leaf has level 0.
    package static let heightOfLevel = 8

    /// A path cannot be longer: sizes have 63 bits.
    package static let pathLimit = 63

    package static func leafHash(of entry: UnsafeRawBufferPointer) -> LedgerHash {
        LedgerHash(hashing: entry, behind: 0)
    }

    package static func leafHash(of entry: [UInt8]) -> LedgerHash { entry.withUnsafeBytes { leafHash(of: $0) } }

    package static func nodeHash(_ left: LedgerHash, _ right: LedgerHash) -> LedgerHash {
        withUnsafeTemporaryAllocation(byteCount: 1 + 2 * LedgerHash.byteCount, alignment: 8) { buffer in
            buffer[0] = 1
            withUnsafeBytes(of: left) { left in
                UnsafeMutableRawBufferPointer(rebasing: buffer[1..<33]).copyMemory(from: left)
            }
            withUnsafeBytes(of: right) { right in
                UnsafeMutableRawBufferPointer(rebasing: buffer[33..<65]).copyMemory(from: right)
            }
            return LedgerHash(hashing: UnsafeRawBufferPointer(buffer))
        }
    }

    /// The root over neighbouring complete subtrees, each smaller than the one before; of none ``emptyRoot``.
    static func root(over peaks: some BidirectionalCollection<LedgerHash>) -> LedgerHash {
        guard var root = peaks.last else { return emptyRoot }
        for peak in peaks.dropLast().reversed() { root = nodeHash(peak, root) }
        return root
    }
}

/// The hash of a complete subtree that is stored: of the leaves from `index` · 256^`level` on.
package struct MerkleNode: Sendable, Hashable {
    package let level: Int
    package let index: Int
    package let hash: LedgerHash

    package init(level: Int, index: Int, hash: LedgerHash) {
        self.level = level
        self.index = index
        self.hash = hash
    }
}
