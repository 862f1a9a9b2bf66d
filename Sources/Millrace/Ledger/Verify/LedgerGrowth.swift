/// The tree, grown block by block from what is stored, and held against what was signed and published.
struct LedgerGrowth: Sendable {
    private(set) var frontier: MerkleFrontier
    /// Whether leaves are unknown before here, so that no root can be computed.
    private(set) var isLost: Bool
    /// Whether the root of the last block was another one: those after it then need not be named, too.
    private(set) var isRootWrong: Bool
    /// Published checkpoints that are still to be met.
    private var published: [LedgerCheckpoint]
    private(set) var forks: [LedgerFinding] = []
    /// Complete subtrees, to be compared with those stored, and with which block they became complete.
    private(set) var nodes: [(block: Int, node: MerkleNode)] = []

    init(frontier: MerkleFrontier, isLost: Bool = false, isRootWrong: Bool = false, published: [LedgerCheckpoint]) {
        self.frontier = frontier
        self.isLost = isLost
        self.isRootWrong = isRootWrong
        self.published = published.filter { $0.size > frontier.size }.sorted { $0.size < $1.size }
    }

    /// Whether these leaves make the tree that the block says.
    func reaches(_ extent: LedgerExtent, with hashes: [LedgerHash]) -> Bool {
        guard !isLost, let block = extent.block, hashes.count == extent.leaves.count else { return false }
        var grown = frontier
        for hash in hashes { grown.append(hash) }
        return grown.root == block.root
    }

    /// Adds a block's leaves.
    /// - Returns: false where its root is another one than it says, and the one before it had the right one.
    mutating func add(_ hashes: [LedgerHash?], of extent: LedgerExtent) -> Bool {
        guard !isLost else { return true }
        var completed: [MerkleNode] = []
        for hash in hashes {
            guard let hash else {
                isLost = true
                return isRootWrong || extent.block == nil
            }
            frontier.append(hash, completed: &completed)
            while let next = published.first, next.size == frontier.size {
                published.removeFirst()
                check(next, extent)
            }
        }
        nodes += completed.map { (extent.number, $0) }
        guard let block = extent.block, frontier.root != block.root else {
            if extent.block != nil { isRootWrong = false }
            return true
        }
        defer { isRootWrong = true }
        return isRootWrong
    }

    private mutating func check(_ checkpoint: LedgerCheckpoint, _ extent: LedgerExtent) {
        var parts: [String] = []
        if checkpoint.root != frontier.root { parts.append("root") }
        let isOfBlock = extent.leaves.upperBound == checkpoint.size && extent.number == checkpoint.block
        if !isOfBlock || extent.block.map({ $0.hash != checkpoint.blockHash }) ?? true { parts.append("block") }
        if !parts.isEmpty { forks.append(.fork(checkpoint, parts)) }
    }

    mutating func takeNodes() -> [(block: Int, node: MerkleNode)] {
        defer { nodes = [] }
        return nodes
    }

    mutating func takeForks() -> [LedgerFinding] {
        defer { forks = [] }
        return forks
    }

    /// Of those beyond the end, and of those that lie where leaves are missing.
    mutating func finish() -> [LedgerFinding] {
        defer { published = [] }
        return published.map { .fork($0, [$0.size > frontier.size && !isLost ? "tree_size" : "leaves"]) }
    }
}

extension LedgerFinding {
    static func fork(_ checkpoint: LedgerCheckpoint, _ parts: [String]) -> LedgerFinding {
        LedgerFinding(
            .forkedCheckpoint,
            block: checkpoint.block,
            parts: parts,
            "the published checkpoint of block \(checkpoint.block), with \(checkpoint.size) events, is no beginning of this ledger"
        )
    }
}
