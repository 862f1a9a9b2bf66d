#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Why something cannot be had from the ledger. What the ledger's rules refuse is ``EventStoreError/ledgerRefused(_:hint:)``.
public enum LedgerError: Error, Sendable {
    /// There is no such event.
    case noEvent(LedgerEventName)
    /// The event is stored and not sealed yet. While a sealer runs it is within about `interval`.
    case notSealed(Position, interval: Duration)
    /// No block is sealed yet, or none of this number or with a tree of this size.
    case noBlock(_ what: String)
    /// What is stored of the ledger does not fit the events or itself. `millrace ledger verify` says what was changed.
    case storedWrongly(_ what: String)
    /// A checkpoint that was signed once is not one of this ledger's: the ledger was rewritten, or an old copy of the database was restored.
    case forked(_ what: String)
}

extension LedgerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noEvent(let name): "there is no event \(name)"
        case .notSealed(let position, let interval):
            "event \(position) is not sealed yet: while a sealer runs, it is within \(interval) of its commit; `millrace ledger seal` seals now"
        case .noBlock(let what): "there is no \(what)"
        case .storedWrongly(let what): "\(what): `millrace ledger verify` says what was changed"
        case .forked(let what):
            "FORKED: \(what). The ledger was rewritten since, or an old copy of the database was restored; keep both, and run `millrace ledger verify --published`"
        }
    }
}

/// How an event is named.
public enum LedgerEventName: Sendable, Hashable {
    case position(Position)
    case id(UUID)
}

extension LedgerEventName: CustomStringConvertible {
    public var description: String {
        switch self {
        case .position(let position): "at position \(position)"
        case .id(let id): id.uuidString.lowercased()
        }
    }
}
