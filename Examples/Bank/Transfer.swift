import Millrace

/// Money on its way from one account to another: requested, debited, credited and completed; or refused, refunded and failed.
struct Transfer: Decider {
    struct State: Sendable, Hashable {
        enum Step: Sendable {
            case missing, requested, debited, credited, refused, refunded, completed, failed
        }

        var step = Step.missing
        var source = ""
        var target = ""
        var cents: Int64 = 0
        var reason: String?
    }

    enum Command: Sendable {
        case request(source: String, target: String, cents: Int64)
        case noteDebit
        case noteCredit
        case noteRefusal(reason: String)
        case noteRefund
        case complete
        case fail(reason: String)
    }

    static let aggregateType = "transfer"
    var initialState: State { State() }

    func decide(_ command: Command, _ transfer: State) throws(TransferRefusal) -> [TransferEvent] {
        switch (command, transfer.step) {
        case (.request(let source, let target, let cents), .missing):
            guard source != target, cents > 0 else { throw TransferRefusal(step: .missing) }
            return [.requested(TransferRequested(source: source, target: target, cents: cents))]
        case (.noteDebit, .requested): return [.debited(SourceDebited())]
        case (.noteCredit, .debited): return [.credited(TargetCredited())]
        case (.noteRefusal(let reason), .debited): return [.refused(CreditRefused(reason: reason))]
        case (.noteRefund, .refused): return [.refunded(SourceRefunded())]
        case (.complete, .credited): return [.completed(TransferCompleted())]
        case (.fail(let reason), .requested), (.fail(let reason), .refunded):
            return [.failed(TransferFailed(reason: reason))]
        default: throw TransferRefusal(step: transfer.step)
        }
    }

    func evolve(_ transfer: inout State, _ event: TransferEvent) {
        switch event {
        case .requested(let event):
            transfer = State(step: .requested, source: event.source, target: event.target, cents: event.cents)
        case .debited: transfer.step = .debited
        case .credited: transfer.step = .credited
        case .refused(let event):
            transfer.step = .refused
            transfer.reason = event.reason
        case .refunded: transfer.step = .refunded
        case .completed: transfer.step = .completed
        case .failed(let event):
            transfer.step = .failed
            transfer.reason = event.reason
        }
    }
}

/// A command that a transfer does not take at this step.
struct TransferRefusal: Error, Hashable {
    let step: Transfer.State.Step
}
