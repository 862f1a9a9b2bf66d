import Millrace
import MillracePostgres

/// Gives commands to orders by the rules of a release, and reads after each one what it did.
struct Clerk<Rules: Decider>: Sendable where Rules.State == OrderStatus? {
    let orders: Aggregate<Rules>
    let client: PostgresClient

    init(_ rules: Rules, in store: EventStore) {
        orders = store.aggregate(rules)
        client = store.client
    }

    /// - Throws: ``OrderRefusal``; ``StaleRead`` where the inline projection does not show what the command has just done.
    func give(_ commands: [Rules.Command], to id: String) async throws {
        for command in commands {
            let status = try await orders.execute(command, on: id).state
            let read = try await OpenOrders.status(of: id, in: client)
            guard read == (status?.isOpen == true ? status : nil) else {
                throw StaleRead(order: id, written: status, read: read)
            }
        }
    }
}

struct StaleRead: Error {
    let order: String
    let written: OrderStatus?
    let read: OrderStatus?
}

/// Does something for each of many, a few at a time.
func forEach<Element: Sendable>(
    of elements: [Element],
    atOnce limit: Int = 8,
    _ body: @escaping @Sendable (Element) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, element) in elements.enumerated() {
            if index >= limit { try await group.next() }
            group.addTask { try await body(element) }
        }
        try await group.waitForAll()
    }
}
