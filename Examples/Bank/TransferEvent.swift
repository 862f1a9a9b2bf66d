import Millrace

struct TransferRequested: TypedEvent {
    static let eventType = "transfer.requested"
    let source: String
    let target: String
    let cents: Int64
}

/// The source has given the money.
struct SourceDebited: TypedEvent {
    static let eventType = "transfer.debited"
}

/// The target has it.
struct TargetCredited: TypedEvent {
    static let eventType = "transfer.credited"
}

/// The target does not take it.
struct CreditRefused: TypedEvent {
    static let eventType = "transfer.refused"
    let reason: String
}

/// The source has it back.
struct SourceRefunded: TypedEvent {
    static let eventType = "transfer.refunded"
}

struct TransferCompleted: TypedEvent {
    static let eventType = "transfer.completed"
}

struct TransferFailed: TypedEvent {
    static let eventType = "transfer.failed"
    let reason: String
}

/// All that can happen to a transfer.
enum TransferEvent: DomainEvent {
    case requested(TransferRequested)
    case debited(SourceDebited)
    case credited(TargetCredited)
    case refused(CreditRefused)
    case refunded(SourceRefunded)
    case completed(TransferCompleted)
    case failed(TransferFailed)

    static let types = EventTypes<TransferEvent>()
        .on(TransferRequested.self, TransferEvent.requested)
        .on(SourceDebited.self, TransferEvent.debited)
        .on(TargetCredited.self, TransferEvent.credited)
        .on(CreditRefused.self, TransferEvent.refused)
        .on(SourceRefunded.self, TransferEvent.refunded)
        .on(TransferCompleted.self, TransferEvent.completed)
        .on(TransferFailed.self, TransferEvent.failed)

    var payload: any TypedEvent {
        switch self {
        case .requested(let event): event
        case .debited(let event): event
        case .credited(let event): event
        case .refused(let event): event
        case .refunded(let event): event
        case .completed(let event): event
        case .failed(let event): event
        }
    }
}
