import Millrace

struct AccountOpened: TypedEvent {
    static let eventType = "account.opened"
    let owner: String
}

/// Money that comes from outside of the bank.
struct PaidIn: TypedEvent {
    static let eventType = "account.paid_in"
    let cents: Int64
}

struct Debited: TypedEvent {
    static let eventType = "account.debited"
    let transfer: String
    let cents: Int64
}

struct Credited: TypedEvent {
    static let eventType = "account.credited"
    let transfer: String
    let cents: Int64
}

/// A debit that is given back, because the other account did not take the money.
struct Refunded: TypedEvent {
    static let eventType = "account.refunded"
    let transfer: String
    let cents: Int64
}

struct AccountClosed: TypedEvent {
    static let eventType = "account.closed"
}

/// All that can happen to an account.
enum AccountEvent: DomainEvent {
    case opened(AccountOpened)
    case paidIn(PaidIn)
    case debited(Debited)
    case credited(Credited)
    case refunded(Refunded)
    case closed(AccountClosed)

    static let types = EventTypes<AccountEvent>()
        .on(AccountOpened.self, AccountEvent.opened)
        .on(PaidIn.self, AccountEvent.paidIn)
        .on(Debited.self, AccountEvent.debited)
        .on(Credited.self, AccountEvent.credited)
        .on(Refunded.self, AccountEvent.refunded)
        .on(AccountClosed.self, AccountEvent.closed)

    var payload: any TypedEvent {
        switch self {
        case .opened(let event): event
        case .paidIn(let event): event
        case .debited(let event): event
        case .credited(let event): event
        case .refunded(let event): event
        case .closed(let event): event
        }
    }

    /// What it adds to the balance.
    var cents: Int64 {
        switch self {
        case .paidIn(let event): event.cents
        case .debited(let event): -event.cents
        case .credited(let event): event.cents
        case .refunded(let event): event.cents
        case .opened, .closed: 0
        }
    }
}
