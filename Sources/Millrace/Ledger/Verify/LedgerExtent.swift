import MillracePostgres

/// A row of `millrace.ledger_blocks`, as it is.
struct LedgerBlockRow: Sendable {
    let block: LedgerBlock
    let storedHash: LedgerHash
    let firstLeaf: Int
    let keyNumber: Int
    let signature: [UInt8]

    init(_ row: PostgresRow) throws {
        func hash(_ column: Int) throws -> LedgerHash { LedgerHash(try row.decode([UInt8].self, at: column)) ?? .zero }
        block = LedgerBlock(
            number: try row.decode(Int.self, at: 0),
            previous: try hash(1),
            first: Position(try row.decode(Int64.self, at: 3)),
            last: Position(try row.decode(Int64.self, at: 4)),
            size: try row.decode(Int.self, at: 6),
            root: try hash(7),
            // To the microsecond, as it was hashed.
            sealedAt: row.withBytes(at: 8) { Int64(bigEndian: $0.loadUnaligned(as: Int64.self)) }
        )
        storedHash = try hash(2)
        firstLeaf = try row.decode(Int.self, at: 5)
        keyNumber = Int(try row.decode(Int32.self, at: 9))
        signature = try row.decode([UInt8].self, at: 10)
    }
}

/// The leaves and positions that one block seals, as far as can be told, and what is wrong with its row.
struct LedgerExtent: Sendable {
    var number: Int
    /// nil where the block is missing and only its leaves are known, from those beside it.
    var block: LedgerBlock?
    var storedHash: LedgerHash?
    var leaves: Range<Int>
    /// Events after this position,
    var lower: Int64
    /// up to this one.
    var upper: Int64
    /// Whether the header is signed, so that what it says can be relied on.
    var isIntact: Bool
    /// Whether the block's hash is that of its header.
    var isHashed = true
    var broken: [String] = []
    var badSignature: String?

    func covers(_ position: Int64) -> Bool { position > lower && position <= upper }
}

/// Checks blocks one after the other: that each is linked to the one before, hashed and signed.
struct LedgerBlockChain: Sendable {
    let origin: String
    /// By number; nil where a key is not trusted or cannot be read.
    let keys: [Int: LedgerVerifierKey]
    /// Where the stored leaves end.
    let leafEnd: Int

    /// The number of the last block, its leaves and its last position.
    private(set) var number: Int
    private(set) var size: Int
    private(set) var position: Int64
    /// What the next block may name as the one before; empty where that is unknown.
    private(set) var links: [LedgerHash]

    init(
        origin: String,
        keys: [Int: LedgerVerifierKey],
        leafEnd: Int,
        number: Int = 0,
        size: Int = 0,
        position: Int64 = .min,
        links: [LedgerHash] = [.zero]
    ) {
        self.origin = origin
        self.keys = keys
        self.leafEnd = leafEnd
        self.number = number
        self.size = size
        self.position = position
        self.links = links
    }

    private func isSigned(_ row: LedgerBlockRow, hash: LedgerHash) -> Bool {
        guard let key = keys[row.keyNumber] else { return false }
        let checkpoint = LedgerCheckpoint(
            origin: origin,
            size: row.block.size,
            root: row.block.root,
            block: row.block.number,
            blockHash: hash
        )
        return key.hasSigned(checkpoint.text, row.signature)
    }

    private func isIntact(_ row: LedgerBlockRow) -> Bool {
        row.block.hash == row.storedHash && isSigned(row, hash: row.storedHash)
    }

    /// The block's extent, and before it that of blocks that are missing. A row that cannot be where it is has one without leaves.
    /// - Parameter next: the row after it, for where its own cannot be relied on.
    mutating func extents(of row: LedgerBlockRow, before next: LedgerBlockRow?) -> [LedgerExtent] {
        guard row.block.number > number, row.block.size > size, row.firstLeaf >= size || isIntact(row) else {
            return [stray(row)]
        }
        var extents: [LedgerExtent] = []
        if row.block.number > number + 1, row.firstLeaf > size, row.block.first.rawValue > position {
            extents.append(
                LedgerExtent(
                    number: number + 1,
                    leaves: size..<row.firstLeaf,
                    lower: position,
                    upper: row.block.first.rawValue - 1,
                    isIntact: false,
                    broken: ["missing"]
                )
            )
            number = row.block.number - 1
            size = row.firstLeaf
            position = row.block.first.rawValue - 1
            links = []
        }
        extents.append(extent(row, next))
        return extents
    }

    private func stray(_ row: LedgerBlockRow) -> LedgerExtent {
        LedgerExtent(
            number: row.block.number,
            leaves: size..<size,
            lower: position,
            upper: position,
            isIntact: false,
            broken: ["number"]
        )
    }

    private mutating func extent(_ row: LedgerBlockRow, _ next: LedgerBlockRow?) -> LedgerExtent {
        let isIntact = isIntact(row)
        let isHashed = row.block.hash == row.storedHash
        var broken: [String] = []
        if row.block.number != number + 1 { broken.append("number") }
        if row.firstLeaf != size { broken.append("first_leaf") }
        if !links.isEmpty, !links.contains(row.block.previous) { broken.append("previous_hash") }
        var extent = LedgerExtent(
            number: number + 1,
            block: row.block,
            storedHash: row.storedHash,
            leaves: size..<row.block.size,
            lower: position,
            upper: max(row.block.last.rawValue, position),
            isIntact: isIntact
        )
        if !isHashed, let next, self.isIntact(next) {
            if next.firstLeaf > size, next.firstLeaf != row.block.size {
                broken.append("tree_size")
                extent.leaves = size..<next.firstLeaf
            }
            // Between the two lie only positions that no event has.
            extent.upper = max(next.block.first.rawValue - 1, position)
        }
        if !isHashed, next == nil, leafEnd > size, leafEnd != row.block.size {
            broken.append("tree_size")
            extent.leaves = size..<leafEnd
        }
        extent.isHashed = isHashed
        if !isHashed, broken.isEmpty, isSigned(row, hash: row.block.hash) { broken.append("block_hash") }
        if isHashed, !isIntact {
            extent.badSignature =
                keys[row.keyNumber] == nil
                ? "block \(row.block.number) is signed by key \(row.keyNumber), which is not trusted"
                : "block \(row.block.number) is not signed by key \(row.keyNumber)"
        }
        extent.broken = broken
        // Where none of the parts is found to be another one, the leaves may still tell.
        number += 1
        size = extent.leaves.upperBound
        position = extent.upper
        links = isHashed ? [row.storedHash] : [row.storedHash, row.block.hash]
        return extent
    }
}
