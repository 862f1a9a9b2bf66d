import Millrace

/// Why an account does not take a command.
enum AccountRefusal: Error, Hashable {
    case missing
    case closed
    case openedBefore
    case insufficient(balance: Int64)
    case notEmpty(balance: Int64)
    case noAmount
}

/// The rules of an account: its balance is never below zero, and when it is closed nobody can pay into it any more.
struct Account: Decider {
    struct State: Codable, Sendable, Hashable {
        enum Phase: String, Codable, Sendable {
            case missing, open, closed
        }

        var phase = Phase.missing
        var balance: Int64 = 0
    }

    enum Command: Sendable {
        case open(owner: String)
        case payIn(cents: Int64)
        case debit(cents: Int64, transfer: String)
        case credit(cents: Int64, transfer: String)
        case refund(cents: Int64, transfer: String)
        case close
    }

    static let aggregateType = "account"
    static let snapshots = SnapshotPolicy.every(10, shape: 1)
    var initialState: State { State() }

    func decide(_ command: Command, _ account: State) throws(AccountRefusal) -> [AccountEvent] {
        switch command {
        case .open(let owner):
            guard account.phase == .missing else { throw .openedBefore }
            return [.opened(AccountOpened(owner: owner))]
        case .payIn(let cents):
            try check(cents, account)
            return [.paidIn(PaidIn(cents: cents))]
        case .debit(let cents, let transfer):
            try check(cents, account)
            guard cents <= account.balance else { throw .insufficient(balance: account.balance) }
            return [.debited(Debited(transfer: transfer, cents: cents))]
        case .credit(let cents, let transfer):
            try check(cents, account)
            return [.credited(Credited(transfer: transfer, cents: cents))]
        case .refund(let cents, let transfer):
            // Also where the account was closed meanwhile: the money has to be somewhere.
            guard account.phase != .missing else { throw .missing }
            return [.refunded(Refunded(transfer: transfer, cents: cents))]
        case .close:
            guard account.phase == .open else { throw account.phase == .closed ? .closed : .missing }
            guard account.balance == 0 else { throw .notEmpty(balance: account.balance) }
            return [.closed(AccountClosed())]
        }
    }

    func evolve(_ account: inout State, _ event: AccountEvent) {
        account.balance += event.cents
        switch event {
        case .opened: account.phase = .open
        case .closed: account.phase = .closed
        case .paidIn, .debited, .credited, .refunded: break
        }
    }

    private func check(_ cents: Int64, _ account: State) throws(AccountRefusal) {
        switch account.phase {
        case .missing: throw .missing
        case .closed: throw .closed
        case .open: if cents <= 0 { throw .noAmount }
        }
    }
}
