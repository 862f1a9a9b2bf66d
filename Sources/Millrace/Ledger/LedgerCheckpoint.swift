/// What a ledger was at one time: how many events it had, and the root of the tree over them. The text of a note in the format of
/// c2sp.org/tlog-checkpoint.
public struct LedgerCheckpoint: Sendable {
    /// Which ledger it is.
    public let origin: String
    /// How many events the tree has.
    public let size: Int
    public let root: LedgerHash
    /// The number of the last block.
    public let block: Int
    /// The last block's hash.
    public let blockHash: LedgerHash

    package init(origin: String, size: Int, root: LedgerHash, block: Int, blockHash: LedgerHash) {
        self.origin = origin
        self.size = size
        self.root = root
        self.block = block
        self.blockHash = blockHash
    }

    /// Of a block.
    package init(origin: String, _ block: LedgerBlock) {
        self.init(origin: origin, size: block.size, root: block.root, block: block.number, blockHash: block.hash)
    }

    /// Reads a note's text. Whether it is signed must be known already: ``LedgerKeyring/checkpoint(_:)``.
    init(text: String) throws(LedgerNoteError) {
        guard let lines = LedgerText.lines(Array(text.utf8)[...]), lines.count >= 4,
            !lines.contains(where: \.isEmpty)
        else { throw .malformed("a checkpoint has four lines") }
        let words = lines[3].split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard let size = LedgerText.number(lines[1]), let root = LedgerHash(base64Line: lines[2]) else {
            throw .malformed("a checkpoint has the tree's size in its second line and the root in its third")
        }
        guard words.count == 3, words[0].elementsEqual(LedgerCheckpoint.blockWord.utf8),
            let block = LedgerText.number(words[1]), let blockHash = LedgerHash(base64Line: words[2])
        else { throw .malformed("a checkpoint has in its fourth line the word block, its number and its hash") }
        self.init(
            origin: String(decoding: lines[0], as: UTF8.self),
            size: size,
            root: root,
            block: block,
            blockHash: blockHash
        )
    }

    private static let blockWord = "block"

    /// What is signed.
    var text: String {
        "\(origin)\n\(size)\n\(root.base64)\n\(LedgerCheckpoint.blockWord) \(block) \(blockHash.base64)\n"
    }

    /// - Throws: ``LedgerNoteError/signedByOthers(origin:)`` where the key has not the origin's name.
    package func signed(by key: LedgerSigningKey) throws(LedgerNoteError) -> SignedNote {
        guard LedgerText.areEqual(key.name, origin) else { throw .signedByOthers(origin: origin) }
        return try key.sign(text)
    }
}

extension LedgerCheckpoint: CustomStringConvertible {
    public var description: String { "\(origin) at \(size) events, block \(block), root \(root.base64)" }
}

extension LedgerCheckpoint: Hashable {
    public static func == (left: LedgerCheckpoint, right: LedgerCheckpoint) -> Bool {
        LedgerText.areEqual(left.text, right.text)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(size)
        hasher.combine(root)
    }
}

extension LedgerHash {
    init?(base64Line line: ArraySlice<UInt8>) {
        guard let bytes = LedgerText.base64Decoded(line) else { return nil }
        self.init(bytes)
    }
}
