import Millrace

extension FirstRelease {
    /// An order, before payment and packing were told apart.
    struct Order: Decider {
        enum Command: Sendable {
            case place(customer: String, cents: Int64)
            case payAndPack(method: String, boxes: Int)
            case ship(carrier: String)
            case deliver
            case cancel(reason: String)
        }

        static let aggregateType = "order"
        var initialState: OrderStatus? { nil }

        func decide(_ command: Command, _ status: OrderStatus?) throws(OrderRefusal) -> [Event] {
            switch (command, status) {
            case (.place(let customer, let cents), nil): return [.created(Created(customer: customer, cents: cents))]
            case (.payAndPack(let method, let boxes), .placed):
                return [.paidAndPacked(PaidAndPacked(method: method, boxes: boxes))]
            case (.ship(let carrier), .packed): return [.shipped(OrderShipped(carrier: carrier))]
            case (.deliver, .shipped): return [.delivered(OrderDelivered())]
            case (.cancel(let reason), .placed), (.cancel(let reason), .packed):
                return [.canceled(OrderCanceled(reason: reason))]
            default: throw OrderRefusal(status: status)
            }
        }

        func evolve(_ status: inout OrderStatus?, _ event: Event) { status = event.status }
    }
}

extension FirstRelease.Event {
    var status: OrderStatus {
        switch self {
        case .created: .placed
        case .paidAndPacked: .packed
        case .shipped: .shipped
        case .delivered: .delivered
        case .canceled: .canceled
        }
    }

    /// nil where the event is none of an order.
    static func row(of event: RecordedEvent) throws -> OrderRow? {
        try types.event(from: event).map { known in
            switch known {
            case .created(let created): OrderRow(.placed, customer: created.customer, cents: created.cents)
            case .paidAndPacked: OrderRow(.packed, isPayment: true)
            case .shipped, .delivered, .canceled: OrderRow(known.status)
            }
        }
    }
}
