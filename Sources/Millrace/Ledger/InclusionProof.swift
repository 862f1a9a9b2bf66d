/// That a leaf is in a tree: RFC 6962, section 2.1.1.
package struct InclusionProof: Sendable, Hashable {
    package let index: Int
    package let size: Int
    /// From the leaf's sibling to a child of the root.
    package let path: [LedgerHash]

    package init(index: Int, size: Int, path: [LedgerHash]) {
        self.index = index
        self.size = size
        self.path = path
    }

    /// What to read for the proof that the leaf `index` is in the tree of the first `size` leaves.
    package static func plan(index: Int, size: Int) -> MerklePlan {
        precondition(index >= 0 && index < size, "the tree has such a leaf")
        var ranges: [Range<Int>] = []
        var tree = 0..<size
        while tree.count > 1 {
            let middle = tree.middle
            if index < middle {
                ranges.append(middle..<tree.upperBound)
                tree = tree.lowerBound..<middle
            } else {
                ranges.append(tree.lowerBound..<middle)
                tree = middle..<tree.upperBound
            }
        }
        return MerklePlan(ranges: ranges.reversed())
    }

    /// The proof, from what ``plan(index:size:)`` asks for.
    package init(index: Int, size: Int, from stored: MerkleHashes) throws(MerkleHashesMissing) {
        let plan = InclusionProof.plan(index: index, size: size)
        self.init(index: index, size: size, path: try plan.hashes(from: stored))
    }

    /// The root of the tree that has this leaf at this index; nil where no tree has such a path. RFC 9162, section 2.1.3.2.
    package func root(with leaf: LedgerHash) -> LedgerHash? {
        guard index >= 0, index < size else { return nil }
        var (node, last) = (index, size - 1)
        var root = leaf
        for sibling in path {
            guard last > 0 else { return nil }
            if node & 1 == 1 || node == last {
                root = MerkleTree.nodeHash(sibling, root)
                if node & 1 == 0 {
                    let levels = node.trailingZeroBitCount
                    // The path passes over the levels at which the last node has no sibling.
                    (node, last) = (node >> levels, last >> levels)
                }
            } else {
                root = MerkleTree.nodeHash(root, sibling)
            }
            (node, last) = (node >> 1, last >> 1)
        }
        return last == 0 ? root : nil
    }

    package func proves(_ leaf: LedgerHash, in root: LedgerHash) -> Bool { self.root(with: leaf) == root }
}

extension Range<Int> {
    /// Where a tree of these leaves is divided: its left part has the largest power of two that is smaller than all.
    var middle: Int { lowerBound + 1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) }
}
