import Millrace

extension Upcasters {
    /// What the events of the first release mean to the second.
    static let orders = Upcasters()
        .rename(FirstRelease.Created.eventType, to: OrderPlaced.eventType)
        .split(
            FirstRelease.PaidAndPacked.eventType,
            into: [OrderPaid.eventType, OrderPacked.eventType]
        ) { event in
            let both = try event.decode(FirstRelease.PaidAndPacked.self)
            return [try NewEvent(OrderPaid(method: both.method)), try NewEvent(OrderPacked(boxes: both.boxes))]
        }
}

extension EventCheck {
    /// Whether the second release can read every event that there is.
    static let orders = EventCheck(.orders).knowing(
        OrderPlaced.self,
        OrderPaid.self,
        OrderPacked.self,
        OrderShipped.self,
        OrderDelivered.self,
        OrderCanceled.self,
        Receipt.self
    )
}
