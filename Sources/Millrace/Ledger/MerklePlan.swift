/// Hashes that lie side by side in what is stored: leaves at level 0, else complete subtrees of 256^`level` leaves.
package struct MerkleRun: Sendable, Hashable {
    package let level: Int
    package let indices: Range<Int>

    package init(level: Int, indices: Range<Int>) {
        self.level = level
        self.indices = indices
    }
}

/// A complete subtree of 2^`height` leaves: the `index`th of its height.
struct MerkleSubtree {
    let height: Int
    let index: Int

    var leaves: Range<Int> { index << height..<(index + 1) << height }

    /// The stored hashes from which its own is computed: 128 at most.
    var run: MerkleRun {
        let width = height % MerkleTree.heightOfLevel
        return MerkleRun(level: height / MerkleTree.heightOfLevel, indices: index << width..<(index + 1) << width)
    }

    /// The complete subtrees that a range consists of, from left to right. A range of a proof begins where they grow smaller.
    static func cover(_ leaves: Range<Int>) -> [MerkleSubtree] {
        var subtrees: [MerkleSubtree] = []
        var next = leaves.lowerBound
        while next < leaves.upperBound {
            let fitting = Int.bitWidth - 1 - (leaves.upperBound - next).leadingZeroBitCount
            let height = next == 0 ? fitting : min(fitting, next.trailingZeroBitCount)
            subtrees.append(MerkleSubtree(height: height, index: next >> height))
            next += 1 << height
        }
        return subtrees
    }

    func hash(from stored: MerkleHashes) throws(MerkleHashesMissing) -> LedgerHash {
        var hashes = Array(try stored.hashes(of: run))
        while hashes.count > 1 {
            hashes = stride(from: 0, to: hashes.count, by: 2).map { MerkleTree.nodeHash(hashes[$0], hashes[$0 + 1]) }
        }
        return hashes[0]
    }
}

/// Which of a tree's hashes are wanted, and what to read to compute them: some hundreds of stored hashes, whatever the tree's size.
package struct MerklePlan: Sendable, Hashable {
    /// The hash of each range of leaves is wanted, as if it were a tree.
    let ranges: [Range<Int>]
    /// What to read: no two overlap or touch; by level, then from left to right.
    package let runs: [MerkleRun]

    init(ranges: [Range<Int>]) {
        self.ranges = ranges
        let needed = ranges.flatMap { MerkleSubtree.cover($0).map(\.run) }
        var runs: [MerkleRun] = []
        for run in needed.sorted(by: { ($0.level, $0.indices.lowerBound) < ($1.level, $1.indices.lowerBound) }) {
            if let last = runs.last, last.level == run.level, run.indices.lowerBound <= last.indices.upperBound {
                let end = max(last.indices.upperBound, run.indices.upperBound)
                runs[runs.count - 1] = MerkleRun(level: run.level, indices: last.indices.lowerBound..<end)
            } else {
                runs.append(run)
            }
        }
        self.runs = runs
    }

    /// The wanted hashes, in the order in which they were asked for.
    package func hashes(from stored: MerkleHashes) throws(MerkleHashesMissing) -> [LedgerHash] {
        var hashes: [LedgerHash] = []
        for range in ranges {
            var peaks: [LedgerHash] = []
            for subtree in MerkleSubtree.cover(range) { peaks.append(try subtree.hash(from: stored)) }
            hashes.append(MerkleTree.root(over: peaks))
        }
        return hashes
    }
}

/// Hashes that were read for a ``MerklePlan``.
package struct MerkleHashes: Sendable {
    private var levels: [Int: [(start: Int, hashes: [LedgerHash])]] = [:]

    package init() {}

    /// - Throws: where there are more or fewer hashes than the run has.
    package mutating func add(_ hashes: [LedgerHash], of run: MerkleRun) throws(MerkleHashesMissing) {
        guard hashes.count == run.indices.count else { throw MerkleHashesMissing(run: run) }
        levels[run.level, default: []].append((run.indices.lowerBound, hashes))
    }

    func hashes(of run: MerkleRun) throws(MerkleHashesMissing) -> ArraySlice<LedgerHash> {
        for (start, hashes) in levels[run.level] ?? []
        where start <= run.indices.lowerBound && run.indices.upperBound <= start + hashes.count {
            return hashes[(run.indices.lowerBound - start)..<(run.indices.upperBound - start)]
        }
        throw MerkleHashesMissing(run: run)
    }
}

/// Not all of these hashes are stored.
package struct MerkleHashesMissing: Error, Hashable, CustomStringConvertible {
    package let run: MerkleRun

    package init(run: MerkleRun) { self.run = run }

    package var description: String {
        let (first, last) = (run.indices.lowerBound, run.indices.upperBound - 1)
        return run.level == 0
            ? "not all leaves from \(first) to \(last) are stored"
            : "not all nodes of level \(run.level) from \(first) to \(last) are stored"
    }
}
