import Millrace

/// The rules of an order: placed, paid, packed, shipped, delivered, in this order; canceled until it is shipped.
struct Order: Decider {
    enum Command: Sendable {
        case place(customer: String, cents: Int64)
        case pay(method: String)
        case pack(boxes: Int)
        case ship(carrier: String)
        case deliver
        case cancel(reason: String)
    }

    static let aggregateType = "order"
    var initialState: OrderStatus? { nil }

    func decide(_ command: Command, _ status: OrderStatus?) throws(OrderRefusal) -> [OrderEvent] {
        switch (command, status) {
        case (.place(let customer, let cents), nil) where cents > 0:
            return [.placed(OrderPlaced(customer: customer, cents: cents))]
        case (.pay(let method), .placed): return [.paid(OrderPaid(method: method))]
        case (.pack(let boxes), .paid): return [.packed(OrderPacked(boxes: boxes))]
        case (.ship(let carrier), .packed): return [.shipped(OrderShipped(carrier: carrier))]
        case (.deliver, .shipped): return [.delivered(OrderDelivered())]
        case (.cancel(let reason), .placed), (.cancel(let reason), .paid), (.cancel(let reason), .packed):
            return [.canceled(OrderCanceled(reason: reason))]
        default: throw OrderRefusal(status: status)
        }
    }

    func evolve(_ status: inout OrderStatus?, _ event: OrderEvent) { status = event.status }
}

extension OrderEvent {
    /// nil where the event is none of an order.
    static func row(of event: RecordedEvent) throws -> OrderRow? {
        try types.event(from: event).map { known in
            switch known {
            case .placed(let placed): OrderRow(.placed, customer: placed.customer, cents: placed.cents)
            case .paid: OrderRow(.paid, isPayment: true)
            case .packed, .shipped, .delivered, .canceled: OrderRow(known.status)
            }
        }
    }
}
