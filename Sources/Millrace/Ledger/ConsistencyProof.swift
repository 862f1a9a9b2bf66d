/// That a tree is the beginning of a larger one: RFC 6962, section 2.1.2.
package struct ConsistencyProof: Sendable, Hashable {
    package let earlierSize: Int
    package let laterSize: Int
    /// None where one of the trees is empty or both are as large.
    package let path: [LedgerHash]

    package init(earlierSize: Int, laterSize: Int, path: [LedgerHash]) {
        self.earlierSize = earlierSize
        self.laterSize = laterSize
        self.path = path
    }

    /// What to read for the proof that the tree of the first `earlierSize` leaves is the beginning of that of the first `laterSize`.
    package static func plan(from earlierSize: Int, to laterSize: Int) -> MerklePlan {
        precondition(earlierSize >= 0 && earlierSize <= laterSize, "a tree only grows")
        guard earlierSize > 0 else { return MerklePlan(ranges: []) }
        var ranges: [Range<Int>] = []
        var tree = 0..<laterSize
        while earlierSize < tree.upperBound {
            let middle = tree.middle
            if earlierSize <= middle {
                ranges.append(middle..<tree.upperBound)
                tree = tree.lowerBound..<middle
            } else {
                ranges.append(tree.lowerBound..<middle)
                tree = middle..<tree.upperBound
            }
        }
        // The whole earlier tree is known to who checks.
        if tree.lowerBound > 0 { ranges.append(tree) }
        return MerklePlan(ranges: ranges.reversed())
    }

    /// The proof, from what ``plan(from:to:)`` asks for.
    package init(from earlierSize: Int, to laterSize: Int, stored: MerkleHashes) throws(MerkleHashesMissing) {
        let plan = ConsistencyProof.plan(from: earlierSize, to: laterSize)
        self.init(earlierSize: earlierSize, laterSize: laterSize, path: try plan.hashes(from: stored))
    }

    /// RFC 9162, section 2.1.4.2; and of trees of the same size that they are the same, of an empty one that it is empty.
    package func proves(_ earlier: LedgerHash, continuedBy later: LedgerHash) -> Bool {
        guard earlierSize >= 0, earlierSize <= laterSize else { return false }
        if earlierSize == laterSize { return path.isEmpty && earlier == later && isRootOfItsSize(earlier) }
        if earlierSize == 0 { return path.isEmpty && earlier == MerkleTree.emptyRoot }
        var hashes = path[...]
        // A complete subtree is its own node in the later tree.
        if earlierSize & (earlierSize - 1) == 0 { hashes = [earlier] + hashes }
        guard !path.isEmpty, let start = hashes.popFirst() else { return false }
        var (node, last) = (earlierSize - 1, laterSize - 1)
        let complete = (~node).trailingZeroBitCount
        (node, last) = (node >> complete, last >> complete)
        var (first, second) = (start, start)
        for hash in hashes {
            guard last > 0 else { return false }
            if node & 1 == 1 || node == last {
                first = MerkleTree.nodeHash(hash, first)
                second = MerkleTree.nodeHash(hash, second)
                if node & 1 == 0 {
                    let levels = node.trailingZeroBitCount
                    (node, last) = (node >> levels, last >> levels)
                }
            } else {
                second = MerkleTree.nodeHash(second, hash)
            }
            (node, last) = (node >> 1, last >> 1)
        }
        return last == 0 && first == earlier && second == later
    }

    private func isRootOfItsSize(_ root: LedgerHash) -> Bool { earlierSize > 0 || root == MerkleTree.emptyRoot }
}
