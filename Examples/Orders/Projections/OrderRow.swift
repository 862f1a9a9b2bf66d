import Millrace

/// What an event changes in an order's row, whichever release reads it.
struct OrderRow: Sendable {
    typealias Reading = @Sendable (RecordedEvent) throws -> OrderRow?

    let status: OrderStatus
    let customer: String?
    let cents: Int64?
    let isPayment: Bool

    init(_ status: OrderStatus, customer: String? = nil, cents: Int64? = nil, isPayment: Bool = false) {
        self.status = status
        self.customer = customer
        self.cents = cents
        self.isPayment = isPayment
    }
}
