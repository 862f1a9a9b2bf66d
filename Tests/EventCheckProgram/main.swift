// A user's program for `millrace check-events`: two types, and steps that lead to them.

import Millrace

struct OrderPlaced: TypedEvent {
    static let eventType = "order.placed"
    static let schemaVersion = 2
    let cents: Int
    let currency: String
}

struct OrderPaid: TypedEvent {
    static let eventType = "order.paid"
    let method: String
}

let upcasters = Upcasters()
    .upcast("order.created", from: 1) { data in data["currency"] = "BRL" }
    .rename("order.created", to: "order.placed")
    .drop("order.viewed")

await EventCheck(upcasters).knowing(OrderPlaced.self, OrderPaid.self).main()
