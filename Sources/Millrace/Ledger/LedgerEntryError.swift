/// Why bytes are no entry of a ledger, or columns make none. The fields have the names of the columns.
public enum LedgerEntryError: Error, Sendable, Hashable {
    /// The first byte names no form that is known here.
    case unknownForm(UInt8)
    /// There are no bytes where this field goes on.
    case endsEarly(field: String)
    /// The field has no value that its column can have.
    case invalid(field: String)
    /// This many bytes follow the last field.
    case goesOn(bytes: Int)
}

extension LedgerEntryError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknownForm(let form): "the entry has form \(form), and only form 1 is known"
        case .endsEarly(let field): "the entry ends within its \(field)"
        case .invalid(let field): "the \(field) is none that an event can have"
        case .goesOn(let bytes): "\(bytes) bytes follow the entry"
        }
    }
}
