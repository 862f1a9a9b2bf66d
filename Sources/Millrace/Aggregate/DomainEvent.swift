#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// The events of one kind of aggregate as a closed set, so that what is folded from them is an exhaustive `switch`.
///
///     enum AccountEvent: DomainEvent {
///         case opened(AccountOpened)
///         case deposited(Deposited)
///
///         static let types = EventTypes<AccountEvent>()
///             .on(AccountOpened.self, AccountEvent.opened)
///             .on(Deposited.self, AccountEvent.deposited)
///
///         var payload: any TypedEvent {
///             switch self {
///             case .opened(let event): event
///             case .deposited(let event): event
///             }
///         }
///     }
public protocol DomainEvent: Sendable {
    /// How stored events become cases.
    static var types: EventTypes<Self> { get }
    /// What is stored.
    var payload: any TypedEvent { get }
    /// What this event says about itself; ``EventMetadata/current`` says the rest. nil unless you give it.
    var metadata: EventMetadata? { get }
    /// When it happened; nil: when it is stored. nil unless you give it.
    var occurredAt: Date? { get }
}

extension DomainEvent {
    public var metadata: EventMetadata? { nil }
    public var occurredAt: Date? { nil }
}

/// Which stored event types become which cases of a closed set.
public struct EventTypes<Event: Sendable>: Sendable {
    private struct Reader: Sendable {
        let type: String
        let read: @Sendable (JSON) throws -> Event
    }

    private var readers: [Reader] = []

    public init() {}

    /// The same with a type more.
    public func on<Payload: TypedEvent>(
        _ type: Payload.Type,
        _ make: @escaping @Sendable (Payload) -> Event
    ) -> EventTypes {
        precondition(
            !readers.contains { $0.type.utf8.elementsEqual(Payload.eventType.utf8) },
            "“\(Payload.eventType)” is registered twice"
        )
        var types = self
        types.readers.append(Reader(type: Payload.eventType) { make(try $0.decode(Payload.self)) })
        return types
    }

    /// nil where nothing is registered for the event's type. Throws `DecodingError`.
    public func event(from recorded: RecordedEvent) throws -> Event? {
        try readers.first { recorded.hasType($0.type) }?.read(recorded.data)
    }

    /// The event as it will be read once it is stored; nil where nothing is registered for its type.
    public func event(from new: NewEvent) throws -> Event? {
        try readers.first { $0.type.utf8.elementsEqual(new.type.utf8) }?.read(new.data)
    }
}

extension NewEvent {
    /// A domain event to be stored, with an id of its own. Where it says nothing of its metadata, ``EventMetadata/current`` does.
    ///
    /// Throws `EncodingError` where its payload has no JSON.
    public init(_ event: some DomainEvent) throws {
        let metadata = event.metadata?.completed(by: EventMetadata.current) ?? EventMetadata.current
        try self.init(event.payload, metadata: metadata, occurredAt: event.occurredAt)
    }
}
