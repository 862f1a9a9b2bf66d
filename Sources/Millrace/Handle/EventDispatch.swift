/// A handler's body put together from one closure for each type of event.
///
///     let dispatch = EventDispatch(unknown: .park)
///         .on(OrderCreated.self) { order, event, context in … ; return .done }
///         .on(PaymentCompleted.self) { payment, event, context in … ; return .done }
///     let handler = Handler("billing", matching: dispatch.filter, dispatch.handle)
public struct EventDispatch: Sendable {
    /// What becomes of an event whose type nothing is registered for.
    public enum UnknownTypes: Sendable, Hashable {
        case skip
        case park
        case stop
    }

    private typealias Body = @Sendable (RecordedEvent, HandlerContext) async throws -> HandlerOutcome

    public let unknown: UnknownTypes
    private var bodies: [(type: String, body: Body)] = []

    public init(unknown: UnknownTypes) {
        self.unknown = unknown
    }

    /// The same with a type more. Data that cannot be decoded as that type fails the event, with `DecodingError`.
    public func on<Event: TypedEvent>(
        _ type: Event.Type,
        _ body: @escaping @Sendable (Event, RecordedEvent, HandlerContext) async throws -> HandlerOutcome
    ) -> EventDispatch {
        precondition(
            !bodies.contains { $0.type.utf8.elementsEqual(Event.eventType.utf8) },
            "“\(Event.eventType)” is registered twice"
        )
        var dispatch = self
        dispatch.bodies.append(
            (Event.eventType, { event, context in try await body(event.decode(Event.self), event, context) })
        )
        return dispatch
    }

    /// What the handler has to ask for: the registered types where unknown ones are skipped, otherwise everything.
    public var filter: EventFilter {
        unknown == .skip ? EventFilter(eventTypes: bodies.map(\.type)) : .all
    }

    /// Give this to a ``Handler``.
    public func handle(_ event: RecordedEvent, _ context: HandlerContext) async throws -> HandlerOutcome {
        if let found = bodies.first(where: { event.hasType($0.type) }) { return try await found.body(event, context) }
        switch unknown {
        case .skip: return .done
        case .park: return .park(because: "nothing is registered for “\(event.type)”")
        case .stop: return .stop(because: "nothing is registered for “\(event.type)”")
        }
    }
}
