import Millrace

// The shop as it was first written. Nobody runs this code any more once the second release is out, but its events stay.

/// The namespace of what the second release has replaced.
enum FirstRelease {
    struct Created: TypedEvent {
        static let eventType = "order.created"
        let customer: String
        let cents: Int64
    }

    /// Two things that seemed to be one.
    struct PaidAndPacked: TypedEvent {
        static let eventType = "order.paid_and_packed"
        let method: String
        let boxes: Int
    }

    enum Event: DomainEvent {
        case created(Created)
        case paidAndPacked(PaidAndPacked)
        case shipped(OrderShipped)
        case delivered(OrderDelivered)
        case canceled(OrderCanceled)

        static let types = EventTypes<Event>()
            .on(Created.self, Event.created)
            .on(PaidAndPacked.self, Event.paidAndPacked)
            .on(OrderShipped.self, Event.shipped)
            .on(OrderDelivered.self, Event.delivered)
            .on(OrderCanceled.self, Event.canceled)

        var payload: any TypedEvent {
            switch self {
            case .created(let event): event
            case .paidAndPacked(let event): event
            case .shipped(let event): event
            case .delivered(let event): event
            case .canceled(let event): event
            }
        }
    }
}
