/// Where an order is in its life.
enum OrderStatus: String, Codable, Sendable, CaseIterable {
    case placed, paid, packed, shipped, delivered, canceled

    /// Whether something is still to be done.
    var isOpen: Bool { self != .delivered && self != .canceled }
}

/// A command that an order in this status does not take; nil: there is no such order.
struct OrderRefusal: Error, Hashable {
    let status: OrderStatus?
}
