/// The proof that an event is in a ledger: all of the event, and how it leads to a signed checkpoint. A file in the format of c2sp.org/tlog-proof,
/// whose `extra` is the entry; nothing else is needed to check it but the ledger's key.
///
///     let proof = try LedgerEventProof(utf8: bytes)
///     let proven = try proof.verify(with: LedgerKeyring("shop.example/ledger+2f3e8ac1+ATqj…"))
///     print(proven.event.data)
public struct LedgerEventProof: Sendable, Hashable {
    /// Of a file, in bytes.
    public static let byteLimit = 512 << 20
    private static let title = "c2sp.org/tlog-proof@v1"

    /// What a proof was found to prove.
    public struct Proven: Sendable, Hashable {
        public let event: LedgerEntry
        /// Which leaf it is: how many events come before it.
        public let index: Int
        public let checkpoint: LedgerCheckpoint
        /// The trusted keys that have signed the checkpoint.
        public let signers: [LedgerVerifierKey]
    }

    private let entry: [UInt8]
    private let index: Int
    private let path: [LedgerHash]
    private let note: SignedNote

    /// - Parameter note: the checkpoint that has the root of the tree of the path's size.
    package init(entry: [UInt8], index: Int, path: [LedgerHash], checkpoint note: SignedNote) {
        self.entry = entry
        self.index = index
        self.path = path
        self.note = note
    }

    /// Reads a file. Nothing is proven yet.
    public init(_ text: String) throws(LedgerProofError) { try self.init(utf8: Array(text.utf8)) }

    /// Reads a file. Nothing is proven yet.
    public init(utf8 bytes: [UInt8]) throws(LedgerProofError) {
        guard bytes.count <= LedgerEventProof.byteLimit else { throw .tooLarge }
        guard let (head, rest) = LedgerText.cut(bytes[...]), let lines = LedgerText.lines(head),
            lines.first?.elementsEqual(LedgerEventProof.title.utf8) == true
        else { throw .malformed("it must begin with the line “\(LedgerEventProof.title)”") }
        guard lines.count >= 3, let entry = LedgerText.base64Decoded(word: "extra", in: lines[1]) else {
            throw .malformed("its second line must have the word extra and the event in base64")
        }
        let word = "index "
        guard lines[2].starts(with: word.utf8),
            let index = LedgerText.number(lines[2].dropFirst(word.utf8.count))
        else { throw .malformed("its third line must have the word index and a number") }
        self.entry = entry
        self.index = index
        path = try LedgerEventProof.path(lines[3...])
        do throws(LedgerNoteError) { note = try SignedNote(rest) } catch { throw .checkpointRefused(error) }
    }

    static func path(_ lines: ArraySlice<ArraySlice<UInt8>>) throws(LedgerProofError) -> [LedgerHash] {
        // A proof of consistency may have one hash more than its later tree is high.
        guard lines.count <= MerkleTree.pathLimit + 1 else {
            throw .malformed("it has more hashes than any tree needs")
        }
        var path: [LedgerHash] = []
        for line in lines {
            guard let hash = LedgerHash(base64Line: line) else {
                throw .malformed("“\(String(decoding: line.prefix(64), as: UTF8.self))” is no hash")
            }
            path.append(hash)
        }
        return path
    }

    /// Checks all of it, without a database.
    /// - Throws: the step that failed.
    public func verify(with keyring: LedgerKeyring) throws(LedgerProofError) -> Proven {
        let signers: [LedgerVerifierKey]
        let checkpoint: LedgerCheckpoint
        do throws(LedgerNoteError) {
            checkpoint = try keyring.checkpoint(note)
            signers = try keyring.verify(note)
        } catch { throw .checkpointRefused(error) }
        let proof = InclusionProof(index: index, size: checkpoint.size, path: path)
        guard proof.proves(MerkleTree.leafHash(of: entry), in: checkpoint.root) else { throw .notIncluded }
        do throws(LedgerEntryError) {
            let event = try LedgerEntry(bytes: entry)
            return Proven(event: event, index: index, checkpoint: checkpoint, signers: signers)
        } catch { throw .noEntry(error) }
    }
}

extension LedgerEventProof: CustomStringConvertible {
    /// The file.
    public var description: String {
        let head = "\(LedgerEventProof.title)\nextra \(LedgerText.base64(entry))\nindex \(index)\n"
        return head + path.map { $0.base64 + "\n" }.joined() + "\n" + note.description
    }
}

extension LedgerText {
    fileprivate static func base64Decoded(word: String, in line: ArraySlice<UInt8>) -> [UInt8]? {
        let start = word + " "
        return line.starts(with: start.utf8) ? base64Decoded(line.dropFirst(start.utf8.count)) : nil
    }
}
