import Foundation
import Millrace
import Synchronization

struct AccountOpened: TypedEvent, Hashable {
    static let eventType = "account.opened"
    let owner: String
    var at: Date?
}

struct Deposited: TypedEvent, Hashable {
    static let eventType = "account.deposited"
    let cents: Int
    var reference: String?
}

struct Withdrawn: TypedEvent, Hashable {
    static let eventType = "account.withdrawn"
    let cents: Int
}

/// Decided, and not registered: a mistake.
struct Forgotten: TypedEvent {
    static let eventType = "account.forgotten"
}

enum AccountEvent: DomainEvent {
    case opened(AccountOpened)
    case deposited(Deposited)
    case withdrawn(Withdrawn)
    case forgotten(Forgotten)

    static let types = EventTypes<AccountEvent>()
        .on(AccountOpened.self, AccountEvent.opened)
        .on(Deposited.self, AccountEvent.deposited)
        .on(Withdrawn.self, AccountEvent.withdrawn)

    var payload: any TypedEvent {
        switch self {
        case .opened(let event): event
        case .deposited(let event): event
        case .withdrawn(let event): event
        case .forgotten(let event): event
        }
    }

    var metadata: EventMetadata? {
        guard case .deposited(let event) = self, event.reference == "speaks for itself" else { return nil }
        return EventMetadata(causationID: "its own", actor: "itself")
    }
}

struct Overdrawn: Error, Hashable {
    let balance: Int
}

/// A balance that is never below zero.
struct Account: Decider {
    struct State: Codable, Hashable, Sendable {
        var owner: String?
        var openedAt: Date?
        var balance = 0
        var events = 0
        var references: [String] = []
        /// A character that an event cannot hold and a state can.
        var mark: String?
    }

    enum Command: Sendable {
        case open(owner: String, at: Date? = nil)
        case deposit(cents: Int, reference: String? = nil)
        case withdraw(cents: Int)
        case nothing
        case forget
    }

    static let aggregateType = "account"
    /// Called whenever something is decided: for tests that have something happen just then.
    var isDeciding: @Sendable () -> Void = {}

    var initialState: State { State() }

    func decide(_ command: Command, _ state: State) throws -> [AccountEvent] {
        isDeciding()
        switch command {
        case .open(let owner, let at): return [.opened(AccountOpened(owner: owner, at: at))]
        case .deposit(let cents, let reference): return [.deposited(Deposited(cents: cents, reference: reference))]
        case .withdraw(let cents):
            guard cents <= state.balance else { throw Overdrawn(balance: state.balance) }
            return [.withdrawn(Withdrawn(cents: cents))]
        case .nothing: return []
        case .forget: return [.forgotten(Forgotten())]
        }
    }

    func evolve(_ state: inout State, _ event: AccountEvent) {
        state.events += 1
        switch event {
        case .opened(let event):
            state.owner = event.owner
            state.openedAt = event.at
        case .deposited(let event):
            state.balance += event.cents
            if let reference = event.reference { state.references.append(reference) }
            state.mark = "\u{0}"
        case .withdrawn(let event): state.balance -= event.cents
        case .forgotten: break
        }
    }
}

/// Of the same streams, with another idea of them.
struct Ledgerkeeper: Decider {
    static let aggregateType = "account"
    var initialState: Int { 0 }
    func decide(_ command: Never, _ state: Int) -> [AccountEvent] {}
    func evolve(_ state: inout Int, _ event: AccountEvent) { state += 1 }
}

/// What a stream's events add up to, without a decider.
func balance(of id: String, in store: EventStore) async throws -> (balance: Int, lowest: Int, events: Int) {
    var (balance, lowest, events) = (0, 0, 0)
    for try await event in store.readStream(StreamID("account", id)) {
        events += 1
        switch event.type {
        case Deposited.eventType: balance += try event.decode(Deposited.self).cents
        case Withdrawn.eventType: balance -= try event.decode(Withdrawn.self).cents
        default: break
        }
        lowest = min(lowest, balance)
    }
    return (balance, lowest, events)
}
