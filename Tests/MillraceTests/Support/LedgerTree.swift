import Millrace

/// A tree as RFC 6962 defines it, by recursion over its leaves: what the ledger's trees are held against.
final class NaiveTree {
    let leaves: [LedgerHash]
    private var known: [Range<Int>: LedgerHash] = [:]

    init(_ leaves: [LedgerHash]) { self.leaves = leaves }

    /// Of leaves that are as good as any.
    convenience init(count: Int) {
        self.init((0..<count).map { MerkleTree.leafHash(of: Array("leaf \($0)".utf8)) })
    }

    func root(_ size: Int) -> LedgerHash { hash(0..<size) }

    func hash(_ range: Range<Int>) -> LedgerHash {
        if range.isEmpty { return LedgerHash(hashing: []) }
        if range.count == 1 { return leaves[range.lowerBound] }
        if let hash = known[range] { return hash }
        let middle = range.lowerBound + Self.left(range.count)
        let hash = LedgerHash(
            hashing: [1] + hash(range.lowerBound..<middle).bytes + hash(middle..<range.upperBound).bytes
        )
        known[range] = hash
        return hash
    }

    /// PATH(m, D[n]).
    func path(_ index: Int, _ range: Range<Int>) -> [LedgerHash] {
        if range.count == 1 { return [] }
        let middle = range.lowerBound + Self.left(range.count)
        return index < middle
            ? path(index, range.lowerBound..<middle) + [hash(middle..<range.upperBound)]
            : path(index, middle..<range.upperBound) + [hash(range.lowerBound..<middle)]
    }

    /// SUBPROOF(m, D[n], b).
    func subproof(_ end: Int, _ range: Range<Int>, _ isWhole: Bool = true) -> [LedgerHash] {
        if end == range.upperBound { return isWhole ? [] : [hash(range)] }
        let middle = range.lowerBound + Self.left(range.count)
        return end <= middle
            ? subproof(end, range.lowerBound..<middle, isWhole) + [hash(middle..<range.upperBound)]
            : subproof(end, middle..<range.upperBound, false) + [hash(range.lowerBound..<middle)]
    }

    /// The largest power of two smaller than the count.
    private static func left(_ count: Int) -> Int {
        var power = 1
        while power * 2 < count { power *= 2 }
        return power
    }
}

/// What a database keeps of a tree: its leaves, and each complete subtree of 256^k of them.
struct StoredTree {
    private(set) var frontier = MerkleFrontier()
    private(set) var levels: [[LedgerHash]] = [[]]
    /// Hashes that were read, since the last answer.
    private(set) var read = 0

    init(_ leaves: [LedgerHash]) {
        for leaf in leaves { append(leaf) }
    }

    mutating func append(_ leaf: LedgerHash) {
        var completed: [MerkleNode] = []
        levels[0].append(leaf)
        frontier.append(leaf, completed: &completed)
        for node in completed {
            if node.level == levels.count { levels.append([]) }
            precondition(levels[node.level].count == node.index, "subtrees are completed one after the other")
            levels[node.level].append(node.hash)
        }
    }

    mutating func answer(_ plan: MerklePlan) throws -> MerkleHashes {
        var hashes = MerkleHashes()
        read = 0
        for run in plan.runs {
            try hashes.add(Array(levels[run.level][run.indices]), of: run)
            read += run.indices.count
        }
        return hashes
    }
}
