import ExampleStage
import Logging
import Millrace
import MillracePostgres

/// The shop as it is now.
enum SecondRelease {
    /// What came of a run.
    struct Run: Sendable {
        /// Orders of the first release that went on.
        let continued: Int
        /// Orders that were placed while the summary was built anew.
        let placedMeanwhile: Int
    }

    /// While the summary is built, at the most; a few dozen are usual.
    private static let orderLimit = 5_000

    static func store(_ client: PostgresClient, _ logger: Logger) -> EventStore {
        EventStore(client, upcasters: .orders, projecting: [OpenOrders.projection(OrderEvent.row)], logger: logger)
    }

    /// Goes on with what the first release has left, and builds the second version of the summary meanwhile.
    static func run(_ client: PostgresClient, _ logger: Logger) async throws -> Run {
        let store = store(client, logger)
        // The same version as before: what it writes has not changed, only what it reads.
        try await store.register(OpenOrders.projection(OrderEvent.row))
        let left = try await OpenOrders.all(in: client)
        let worker = HandlerWorker(
            store,
            handlers: [Receipts.ofSecondRelease],
            // The first version is kept up to date until the second one is equal to it.
            projections: [OrderSummary.projection(OrderEvent.row), OrderSummary.withCustomers(OrderEvent.row)],
            options: OrdersExample.worker,
            logger: logger
        )
        return try await working(worker) {
            let clerk = Clerk(Order(), in: store)
            async let placed = placeOrders(by: clerk)
            try await forEach(of: left) { order in
                try await clerk.give(rest(after: order.status), to: order.id)
            }
            let run = Run(continued: left.count, placedMeanwhile: try await placed)
            try await store.waitUntilHandled(by: Receipts.name)
            try await store.waitUntilProjected(by: OrderSummary.name, version: 2)
            return run
        }
    }

    /// One after the other, until the second version of the summary serves.
    private static func placeOrders(by clerk: Clerk<Order>) async throws -> Int {
        for number in 1...orderLimit {
            try await clerk.give(
                [.place(customer: "c-\(number % 17)", cents: Int64(number)), .pay(method: "invoice"), .pack(boxes: 1)],
                to: OrdersExample.newOrder()
            )
            if try await OrderSummary.servedVersion(in: clerk.client) == 2 { return number }
        }
        throw SummaryTakesTooLong(orders: orderLimit)
    }

    private static func rest(after status: OrderStatus) -> [Order.Command] {
        switch status {
        case .placed: [.pay(method: "card"), .pack(boxes: 2), .ship(carrier: "bike"), .deliver]
        case .paid: [.pack(boxes: 2)]
        case .packed: [.ship(carrier: "bike"), .deliver]
        case .shipped: [.deliver]
        case .delivered, .canceled: []
        }
    }
}

struct SummaryTakesTooLong: Error {
    let orders: Int
}
