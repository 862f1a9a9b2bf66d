/// Which events of the log a reader wants. Order and completeness do not depend on it.
///
/// PostgreSQL filters where a reader reads for itself; where many share what one has read, memory does. Names are compared byte
/// by byte in both places.
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

extension EventFilter {
    var wantsEverything: Bool { eventTypes == nil && aggregateTypes == nil }

    func wants(_ event: RecordedEvent) -> Bool {
        if let eventTypes, !eventTypes.contains(where: event.hasType) { return false }
        if let aggregateTypes, !aggregateTypes.contains(where: event.hasAggregateType) { return false }
        return true
    }
}
