import Millrace

/// An event of its own stream, for each order that was placed.
struct Receipt: TypedEvent {
    static let eventType = "receipt.written"
    let customer: String
    let cents: Int64
}

/// Writes receipts. It was begun when orders were `created`, asks for `placed` ones since, and goes on where it was.
enum Receipts {
    static let name = "receipts"

    static let ofFirstRelease = Handler(name, matching: .eventTypes(FirstRelease.Created.eventType)) { event, context in
        let order = try event.decode(FirstRelease.Created.self)
        try await write(Receipt(customer: order.customer, cents: order.cents), for: event, context)
        return .done
    }

    static let ofSecondRelease = Handler(name, matching: .eventTypes(OrderPlaced.eventType)) { event, context in
        let order = try event.decode(OrderPlaced.self)
        try await write(Receipt(customer: order.customer, cents: order.cents), for: event, context)
        return .done
    }

    private static func write(_ receipt: Receipt, for event: RecordedEvent, _ context: HandlerContext) async throws {
        try await context.append(receipt, to: StreamID("receipt", event.stream.aggregateID))
    }
}
