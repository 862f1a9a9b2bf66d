import Millrace

// The events of the demo's order system. Orders and the stock of each article are streams of their own.

struct OrderCreated: TypedEvent {
    static let eventType = "order.created"
    let customer: String
    let article: String
    let quantity: Int
    let cents: Int64
}

struct PaymentCompleted: TypedEvent {
    static let eventType = "payment.completed"
    let method: String
    let cents: Int64
}

struct OrderCanceled: TypedEvent {
    static let eventType = "order.canceled"
    let reason: String
    let refund: Int64
}

struct InventoryReserved: TypedEvent {
    static let eventType = "inventory.reserved"
    let order: String
    let quantity: Int
}

struct InventoryReleased: TypedEvent {
    static let eventType = "inventory.released"
    let order: String
    let quantity: Int
}
