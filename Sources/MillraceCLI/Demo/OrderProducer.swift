import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Takes orders through their life: created, then paid for and reserved in one atomic request over two streams, and
/// for one in ten canceled and released in another.
struct OrderProducer: Sendable {
    /// As many articles as there are: their streams are the contended ones.
    static let articles = 40
    static let cancelledShare = 10

    let store: EventStore
    let run: String
    let progress: DemoProgress

    func placeOrder(number: Int) async throws {
        var random = SystemRandomNumberGenerator()
        let order = StreamID("order", "\(run)-\(number)")
        let article = "article-\(Int.random(in: 1...OrderProducer.articles, using: &random))"
        let stock = StreamID("inventory", "\(run)-\(article)")
        let quantity = Int.random(in: 1...5, using: &random)
        let cents = Int64(quantity) * Int64.random(in: 199...9999, using: &random)
        let customer = "customer-\(Int.random(in: 1...1000, using: &random))"

        try await publish { request in
            let created = OrderCreated(customer: customer, article: article, quantity: quantity, cents: cents)
            request.append([try event(created)], to: order, expecting: .noStream)
        }
        try await publish { request in
            let paid = PaymentCompleted(method: "card", cents: cents)
            request.append([try event(paid)], to: order, expecting: .exactly(1))
            request.append([try event(InventoryReserved(order: order.aggregateID, quantity: quantity))], to: stock)
        }
        guard number % OrderProducer.cancelledShare == 0 else { return }
        try await publish { request in
            let canceled = OrderCanceled(reason: "changed their mind", refund: cents)
            request.append([try event(canceled)], to: order, expecting: .exactly(2))
            request.append([try event(InventoryReleased(order: order.aggregateID, quantity: quantity))], to: stock)
        }
    }

    private func publish(_ fill: (inout AppendRequest) throws -> Void) async throws {
        var request = AppendRequest()
        try fill(&request)
        try await store.append(request)
        progress.published(request.entries.count)
    }

    private func event(_ event: some TypedEvent) throws -> NewEvent {
        try NewEvent(event, metadata: EventMetadata(correlationID: run), occurredAt: .now)
    }
}
