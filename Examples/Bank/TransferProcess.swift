import Millrace

/// Takes each transfer from step to step. A step is a transaction: what it does to an account, what the transfer notes of it, and that the event
/// was handled are stored together, wherever the process is killed. Where the target refuses, the source is refunded.
enum TransferProcess {
    static let name = "transfers"

    /// One event a transaction: a step locks one account at a time, and so no two of them wait for each other.
    private static let options = HandlerOptions(lanes: 8, batchSize: 1)

    static let handler = Handler(
        name,
        matching: .aggregateTypes(Transfer.aggregateType),
        options: options
    ) { event, context in
        guard let step = try TransferEvent.types.event(from: event) else { return .done }
        let accounts = context.store.aggregate(Account(), snapshots: Account.snapshots)
        let id = event.stream.aggregateID
        let command: Transfer.Command
        switch step {
        case .requested(let request):
            do {
                try await context.execute(.debit(cents: request.cents, transfer: id), on: request.source, of: accounts)
                command = .noteDebit
            } catch let refusal as AccountRefusal {
                command = .fail(reason: "\(refusal)")
            }
        case .debited:
            let transfer = try await transfer(id, context)
            do {
                try await context.execute(
                    .credit(cents: transfer.cents, transfer: id),
                    on: transfer.target,
                    of: accounts
                )
                command = .noteCredit
            } catch let refusal as AccountRefusal {
                command = .noteRefusal(reason: "\(refusal)")
            }
        case .refused:
            let transfer = try await transfer(id, context)
            try await context.execute(.refund(cents: transfer.cents, transfer: id), on: transfer.source, of: accounts)
            command = .noteRefund
        case .credited: command = .complete
        case .refunded: command = .fail(reason: try await transfer(id, context).reason ?? "refused")
        case .completed, .failed: return .done
        }
        try await context.execute(command, on: id, of: Transfer())
        return .done
    }

    private static func transfer(_ id: String, _ context: HandlerContext) async throws -> Transfer.State {
        try await context.store.aggregate(Transfer()).load(id, in: context.transaction).state
    }
}
