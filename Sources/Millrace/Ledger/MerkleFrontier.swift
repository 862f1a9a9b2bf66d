/// What must be known of a tree to make it larger: one hash for each complete subtree at its right edge, 63 at most.
package struct MerkleFrontier: Sendable, Hashable {
    package private(set) var size: Int
    /// The largest first: one for each bit of the size.
    package private(set) var peaks: [LedgerHash]

    /// The tree with no leaf.
    package init() {
        size = 0
        peaks = []
    }

    /// What to read to go on from a tree of this size.
    package static func plan(size: Int) -> MerklePlan { MerklePlan(ranges: subtrees(of: size)) }

    /// The tree of this size, from what ``plan(size:)`` asks for.
    package init(size: Int, from stored: MerkleHashes) throws(MerkleHashesMissing) {
        self.size = size
        peaks = try MerkleFrontier.plan(size: size).hashes(from: stored)
    }

    /// A tree of which this was kept; nil where it cannot have that size.
    package init?(size: Int, peaks: [LedgerHash]) {
        guard size >= 0, peaks.count == size.nonzeroBitCount else { return nil }
        self.size = size
        self.peaks = peaks
    }

    private static func subtrees(of size: Int) -> [Range<Int>] {
        MerkleSubtree.cover(0..<size).map(\.leaves)
    }

    /// At most 62 hashes of nodes.
    package var root: LedgerHash { MerkleTree.root(over: peaks) }

    /// One more leaf; the stored subtrees that it completes are put at the end of `completed`, smaller ones first.
    package mutating func append(_ leaf: LedgerHash, completed: inout [MerkleNode]) {
        var hash = leaf
        var height = 0
        while size >> height & 1 == 1 {
            hash = MerkleTree.nodeHash(peaks.removeLast(), hash)
            height += 1
            if height % MerkleTree.heightOfLevel == 0 {
                completed.append(
                    MerkleNode(level: height / MerkleTree.heightOfLevel, index: size >> height, hash: hash)
                )
            }
        }
        peaks.append(hash)
        size += 1
    }

    /// One more leaf, where nothing is stored.
    package mutating func append(_ leaf: LedgerHash) {
        var completed: [MerkleNode] = []
        append(leaf, completed: &completed)
    }
}
