/// The rules of one kind of aggregate: what its events mean, and which of them a command leads to.
///
///     struct Account: Decider {
///         static let aggregateType = "account"
///         var initialState: Int { 0 }
///
///         func decide(_ command: AccountCommand, _ balance: Int) throws -> [AccountEvent] {
///             switch command {
///             case .deposit(let cents): return [.deposited(Deposited(cents: cents))]
///             case .withdraw(let cents):
///                 guard cents <= balance else { throw Overdrawn(balance: balance) }
///                 return [.withdrawn(Withdrawn(cents: cents))]
///             }
///         }
///
///         func evolve(_ balance: inout Int, _ event: AccountEvent) {
///             switch event {
///             case .deposited(let event): balance += event.cents
///             case .withdrawn(let event): balance -= event.cents
///             }
///         }
///     }
///
/// Pure: the same arguments give the same answer, however often and wherever they are asked, and nothing is waited for. What a decision
/// depends on besides the state, such as the time, is part of the command.
public protocol Decider<State, Command, Event>: Sendable {
    associatedtype State: Sendable
    associatedtype Command: Sendable
    associatedtype Event: DomainEvent

    /// Of the streams it decides on.
    static var aggregateType: String { get }

    /// Before the first event.
    var initialState: State { get }

    /// What happens because of a command: nothing, or events that are stored together. An error refuses the command, and reaches
    /// whoever gave it. Asked again where the state has changed meanwhile.
    func decide(_ command: Command, _ state: State) throws -> [Event]

    /// What an event does to the state. It has happened: there is nothing to refuse any more.
    func evolve(_ state: inout State, _ event: Event)
}
