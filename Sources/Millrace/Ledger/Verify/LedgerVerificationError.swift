/// Why a verification cannot be done.
public enum LedgerVerificationError: Error, Sendable, Hashable {
    /// The store keeps no ledger.
    case noLedger
    /// Nothing is sealed yet.
    case nothingSealed
    /// No block reaches as far as where it is to begin.
    case nothingSince
    /// The progress that was kept is that of another ledger, of another tree, or of other options.
    case stateOfAnother(String)
    /// The keys that the database names are none.
    case badKeys(LedgerKeyError)
}

extension LedgerVerificationError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noLedger: "this store keeps no ledger"
        case .nothingSealed: "nothing is sealed yet"
        case .nothingSince: "no block has been sealed since then"
        case .stateOfAnother(let what): "the progress that was kept does not belong here: \(what)"
        case .badKeys(let error): "the keys in the database cannot be used: \(error)"
        }
    }
}
