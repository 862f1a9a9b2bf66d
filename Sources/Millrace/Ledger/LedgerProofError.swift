/// Which step of a proof failed.
public enum LedgerProofError: Error, Sendable, Hashable {
    /// The file is no proof of this kind: the message says what is wrong with it.
    case malformed(_ message: String)
    /// The file is larger than proofs are.
    case tooLarge
    /// The checkpoint is none, or not signed by a trusted key.
    case checkpointRefused(LedgerNoteError)
    /// What is said to be the event is none.
    case noEntry(LedgerEntryError)
    /// The event and its path do not lead to the checkpoint's root: it is not in that ledger, or not as it stands here.
    case notIncluded
    /// The checkpoints are of two ledgers.
    case differentOrigins(earlier: String, later: String)
    /// The earlier checkpoint is not the beginning of the later one: the ledger was rewritten between them, or the proof is of others.
    case notContinued
}

extension LedgerProofError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let message): "this is no such proof: \(message)"
        case .tooLarge: "the file has more than \(LedgerEventProof.byteLimit) bytes"
        case .checkpointRefused(let error): "the checkpoint is not to be believed: \(error)"
        case .noEntry(let error): "the proof is of no event: \(error)"
        case .notIncluded: "the event is not in the ledger of this checkpoint, or not as it stands in this proof"
        case .differentOrigins(let earlier, let later): "the checkpoints are of two ledgers, \(earlier) and \(later)"
        case .notContinued: "the later checkpoint does not continue the earlier one"
        }
    }
}
