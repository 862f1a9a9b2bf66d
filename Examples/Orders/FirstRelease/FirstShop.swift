import ExampleStage
import Logging
import Millrace
import MillracePostgres

extension FirstRelease {
    static let orders = 200

    /// Opens the shop, takes orders to different points of their lives, and closes it when everything is written.
    static func run(_ client: PostgresClient, _ logger: Logger) async throws {
        let openOrders = OpenOrders.projection(Event.row)
        let store = EventStore(client, projecting: [openOrders], logger: logger)
        try await store.register(openOrders)
        let worker = HandlerWorker(
            store,
            handlers: [Receipts.ofFirstRelease],
            projections: [OrderSummary.projection(Event.row)],
            options: OrdersExample.worker,
            logger: logger
        )
        try await working(worker) {
            let clerk = Clerk(Order(), in: store)
            try await forEach(of: Array(1...orders)) { number in
                try await clerk.give(life(number), to: OrdersExample.newOrder())
            }
            try await store.waitUntilHandled(by: Receipts.name)
            try await store.waitUntilProjected(by: OrderSummary.name)
        }
    }

    /// Some have only begun when the release ends.
    private static func life(_ number: Int) -> [Order.Command] {
        let place = Order.Command.place(customer: "c-\(number % 17)", cents: Int64(number) * 100)
        let pay = Order.Command.payAndPack(method: "card", boxes: 1 + number % 3)
        return switch number % 6 {
        case 0: [place]
        case 1: [place, .cancel(reason: "changed their mind")]
        case 2: [place, pay]
        case 3: [place, pay, .cancel(reason: "found it cheaper")]
        case 4: [place, pay, .ship(carrier: "bike")]
        default: [place, pay, .ship(carrier: "train"), .deliver]
        }
    }
}
