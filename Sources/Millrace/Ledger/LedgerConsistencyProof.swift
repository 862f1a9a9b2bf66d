/// The proof that a ledger only grew between two checkpoints: nothing that the earlier one covers was changed, removed or reordered since.
///
///     millrace/consistency-proof@v1
///     <hashes in base64, a line each>
///
///     <the earlier checkpoint>
///
///     <the later checkpoint>
public struct LedgerConsistencyProof: Sendable, Hashable {
    private static let title = "millrace/consistency-proof@v1"

    /// What a proof was found to prove.
    public struct Proven: Sendable, Hashable {
        public let earlier: LedgerCheckpoint
        public let later: LedgerCheckpoint
    }

    private let path: [LedgerHash]
    private let earlier: SignedNote
    private let later: SignedNote

    package init(path: [LedgerHash], earlier: SignedNote, later: SignedNote) {
        self.path = path
        self.earlier = earlier
        self.later = later
    }

    /// Reads a file. Nothing is proven yet.
    public init(_ text: String) throws(LedgerProofError) { try self.init(utf8: Array(text.utf8)) }

    /// Reads a file. Nothing is proven yet.
    public init(utf8 bytes: [UInt8]) throws(LedgerProofError) {
        guard bytes.count <= LedgerEventProof.byteLimit else { throw .tooLarge }
        guard let (head, rest) = LedgerText.cut(bytes[...]), let lines = LedgerText.lines(head),
            lines.first?.elementsEqual(LedgerConsistencyProof.title.utf8) == true
        else { throw .malformed("it must begin with the line “\(LedgerConsistencyProof.title)”") }
        path = try LedgerEventProof.path(lines[1...])
        // A checkpoint's text has no empty line, so the second one here ends the earlier checkpoint.
        guard let (text, behind) = LedgerText.cut(rest), let (signatures, second) = LedgerText.cut(behind) else {
            throw .malformed("two checkpoints must follow its hashes")
        }
        do throws(LedgerNoteError) {
            earlier = try SignedNote((text + [LedgerText.newline] + signatures)[...])
            later = try SignedNote(second)
        } catch { throw .checkpointRefused(error) }
    }

    /// Checks all of it, without a database.
    /// - Throws: the step that failed.
    public func verify(with keyring: LedgerKeyring) throws(LedgerProofError) -> Proven {
        let proven: Proven
        do throws(LedgerNoteError) {
            proven = Proven(earlier: try keyring.checkpoint(earlier), later: try keyring.checkpoint(later))
        } catch { throw .checkpointRefused(error) }
        guard LedgerText.areEqual(proven.earlier.origin, proven.later.origin) else {
            throw .differentOrigins(earlier: proven.earlier.origin, later: proven.later.origin)
        }
        let proof = ConsistencyProof(
            earlierSize: proven.earlier.size,
            laterSize: proven.later.size,
            path: path
        )
        guard proof.proves(proven.earlier.root, continuedBy: proven.later.root) else { throw .notContinued }
        return proven
    }
}

extension LedgerConsistencyProof: CustomStringConvertible {
    /// The file.
    public var description: String {
        let head = LedgerConsistencyProof.title + "\n" + path.map { $0.base64 + "\n" }.joined()
        return "\(head)\n\(earlier)\n\(later)"
    }
}
