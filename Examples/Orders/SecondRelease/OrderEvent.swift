import Millrace

struct OrderPlaced: TypedEvent {
    static let eventType = "order.placed"
    let customer: String
    let cents: Int64
}

struct OrderPaid: TypedEvent {
    static let eventType = "order.paid"
    let method: String
}

struct OrderPacked: TypedEvent {
    static let eventType = "order.packed"
    let boxes: Int
}

struct OrderShipped: TypedEvent {
    static let eventType = "order.shipped"
    let carrier: String
}

struct OrderDelivered: TypedEvent {
    static let eventType = "order.delivered"
}

struct OrderCanceled: TypedEvent {
    static let eventType = "order.canceled"
    let reason: String
}

/// All that can happen to an order.
enum OrderEvent: DomainEvent {
    case placed(OrderPlaced)
    case paid(OrderPaid)
    case packed(OrderPacked)
    case shipped(OrderShipped)
    case delivered(OrderDelivered)
    case canceled(OrderCanceled)

    static let types = EventTypes<OrderEvent>()
        .on(OrderPlaced.self, OrderEvent.placed)
        .on(OrderPaid.self, OrderEvent.paid)
        .on(OrderPacked.self, OrderEvent.packed)
        .on(OrderShipped.self, OrderEvent.shipped)
        .on(OrderDelivered.self, OrderEvent.delivered)
        .on(OrderCanceled.self, OrderEvent.canceled)

    var payload: any TypedEvent {
        switch self {
        case .placed(let event): event
        case .paid(let event): event
        case .packed(let event): event
        case .shipped(let event): event
        case .delivered(let event): event
        case .canceled(let event): event
        }
    }

    var status: OrderStatus {
        switch self {
        case .placed: .placed
        case .paid: .paid
        case .packed: .packed
        case .shipped: .shipped
        case .delivered: .delivered
        case .canceled: .canceled
        }
    }
}
