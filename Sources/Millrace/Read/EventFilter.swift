/// Which events of the log a reader wants. Filtering happens in PostgreSQL; order and completeness do not depend on it.
public struct EventFilter: Sendable, Hashable {
    /// nil: every type.
    public var eventTypes: [String]?
    /// nil: every aggregate type.
    public var aggregateTypes: [String]?

    public init(eventTypes: [String]? = nil, aggregateTypes: [String]? = nil) {
        self.eventTypes = eventTypes
        self.aggregateTypes = aggregateTypes
    }

    public static let all = EventFilter()
    public static func eventTypes(_ types: String...) -> EventFilter { EventFilter(eventTypes: types) }
    public static func aggregateTypes(_ types: String...) -> EventFilter { EventFilter(aggregateTypes: types) }
}
