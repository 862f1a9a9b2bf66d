/// Why a block could not be sealed. Nothing of it is stored.
public enum LedgerSealingError: Error, Sendable, Hashable {
    /// The key that signs is not the ledger's newest. Give the sealer the key whose public half this is.
    case keyIsNotNewest(newest: String)
    /// The tree that the stored hashes make does not have the root that the last block was signed with.
    case treeDiffers(block: Int)
    /// A row of the log is no event.
    case noEntry(LedgerEntryError)
}

extension LedgerSealingError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .keyIsNotNewest(let newest):
            "the signing key is not the ledger's newest, which is \(newest): give the sealer the file of that key (--ledger-key), or rotate to a new one with `millrace ledger keys rotate`"
        case .treeDiffers(let block):
            "the stored hashes do not make the root that block \(block) was signed with, so nothing is sealed on top of them: `millrace ledger verify` says what was changed"
        case .noEntry(let error): "an event cannot be sealed: \(error)"
        }
    }
}
