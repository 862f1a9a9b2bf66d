/// Where an order is in its life.
enum OrderStatus: String, Codable, Sendable, CaseIterable {
    case placed, paid, packed, shipped, delivered, canceled

    /// As a table has it.
    init(stored: String) throws {
        guard let status = OrderStatus(rawValue: stored) else { throw UnknownStatus(name: stored) }
        self = status
    }

    /// Whether something is still to be done.
    var isOpen: Bool { self != .delivered && self != .canceled }
}

/// A command that an order in this status does not take; nil: there is no such order.
struct OrderRefusal: Error, Hashable {
    let status: OrderStatus?
}

struct UnknownStatus: Error {
    let name: String
}
