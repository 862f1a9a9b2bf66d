/// Names one aggregate and with it the stream of its events: `order/42`.
///
/// Both parts are text to PostgreSQL. Neither may be empty or longer than the store's limit for names
/// (255 characters unless the setting says otherwise); the store refuses such a name when it is written.
public struct StreamID: Sendable, Hashable, CustomStringConvertible {
    public let aggregateType: String
    public let aggregateID: String

    public init(_ aggregateType: String, _ aggregateID: String) {
        self.aggregateType = aggregateType
        self.aggregateID = aggregateID
    }

    public var description: String { "\(aggregateType)/\(aggregateID)" }
}

extension StreamID: Comparable {
    /// By type, then by id, both by Unicode scalar order: the order PostgreSQL's `C` collation gives.
    public static func < (left: StreamID, right: StreamID) -> Bool {
        (left.aggregateType, left.aggregateID) < (right.aggregateType, right.aggregateID)
    }
}
