#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A Swift type that is one type of event.
///
///     struct OrderCreated: TypedEvent {
///         static let eventType = "order.created"
///         let customer: String
///         let cents: Int
///     }
public protocol TypedEvent: Codable, Sendable {
    /// The name the event is stored under, for ever: choose it apart from the Swift type's name.
    static var eventType: String { get }
    /// Which shape of the type's data this is: 1 unless you say otherwise. Raise it when the shape changes so that old data do not decode, and
    /// say in ``Upcasters`` what the old ones mean now. It is stored with the event where it is not 1.
    static var schemaVersion: Int { get }
}

extension TypedEvent {
    public static var schemaVersion: Int { 1 }
}

/// Bytes that are not JSON, with what they are: `event_data` is then JSON null.
public struct OpaquePayload: Sendable, Hashable {
    public let bytes: [UInt8]
    /// A media type such as `application/protobuf`.
    public let contentType: String

    public init(bytes: [UInt8], contentType: String) {
        self.bytes = bytes
        self.contentType = contentType
    }
}

/// An event that is to be stored.
public struct NewEvent: Sendable, Hashable {
    /// What makes a retry safe: the same id in the same stream is stored once. A UUIDv7 unless you give another.
    public var id: UUID
    public var type: String
    public var data: JSON
    public var metadata: JSON?
    /// When it happened, by the publisher's clock; nil: when it is stored.
    public var occurredAt: Date?
    public var payload: OpaquePayload?

    public init(type: String, data: JSON, metadata: JSON? = nil, id: UUID = .version7(), occurredAt: Date? = nil) {
        self.id = id
        self.type = type
        self.data = data
        self.metadata = metadata
        self.occurredAt = occurredAt
    }

    /// Throws `EncodingError` where the value has no JSON (a NaN, for one).
    public init(
        _ event: some TypedEvent,
        metadata: EventMetadata? = nil,
        id: UUID = .version7(),
        occurredAt: Date? = nil
    ) throws {
        let (type, version) = (Swift.type(of: event).eventType, Swift.type(of: event).schemaVersion)
        precondition(version > 0, "the schema versions of “\(type)” begin at 1")
        var metadata = metadata
        if version > 1 { metadata = metadata ?? EventMetadata() }
        // What the metadata say of another event's data, of which these may be a copy, does not hold for this one's.
        metadata?.schemaVersion = version > 1 ? version : nil
        self.init(
            type: type,
            data: try JSON(encoding: event),
            metadata: try metadata.map { try JSON(encoding: $0) },
            id: id,
            occurredAt: occurredAt
        )
    }

    public init(type: String, payload: OpaquePayload, metadata: JSON? = nil, id: UUID = .version7()) {
        self.init(type: type, data: .null, metadata: metadata, id: id)
        self.payload = payload
    }
}
