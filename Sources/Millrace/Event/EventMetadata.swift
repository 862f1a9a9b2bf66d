/// What is known about an event besides its data: why it was published and how it is traced.
///
/// The keys Millrace itself understands, and text of the publisher's own. Where the own keys are richer
/// than text, give ``NewEvent`` the whole metadata as ``JSON`` instead.
public struct EventMetadata: Sendable, Hashable {
    /// The same for everything that happens because of one request: `correlation_id`.
    public var correlationID: String?
    /// The id of the event or command that led to this one: `causation_id`.
    public var causationID: String?
    /// The W3C trace context of the publisher: `traceparent`.
    public var traceparent: String?
    /// Which shape the event's data has, ``TypedEvent/schemaVersion``: `schema_version`. nil means 1.
    public var schemaVersion: Int?
    /// The publisher's own keys.
    public var own: [String: String]

    public init(
        correlationID: String? = nil,
        causationID: String? = nil,
        traceparent: String? = nil,
        schemaVersion: Int? = nil,
        own: [String: String] = [:]
    ) {
        self.correlationID = correlationID
        self.causationID = causationID
        self.traceparent = traceparent
        self.schemaVersion = schemaVersion
        self.own = own
    }
}

extension EventMetadata: Codable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }

        static let correlationID = Key(stringValue: "correlation_id")
        static let causationID = Key(stringValue: "causation_id")
        static let traceparent = Key(stringValue: "traceparent")
        static let schemaVersion = Key(stringValue: RecordedEvent.schemaVersionKey)
    }

    /// Own keys whose values are not text are passed over: read them from the event's raw metadata.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        var values: [String: String] = [:]
        for key in container.allKeys {
            if let text = try? container.decode(String.self, forKey: key) { values[key.stringValue] = text }
        }
        correlationID = values.removeValue(forKey: Key.correlationID.stringValue)
        causationID = values.removeValue(forKey: Key.causationID.stringValue)
        traceparent = values.removeValue(forKey: Key.traceparent.stringValue)
        schemaVersion = try? container.decode(Int.self, forKey: .schemaVersion)
        own = values
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (key, value) in own { try container.encode(value, forKey: Key(stringValue: key)) }
        try container.encodeIfPresent(correlationID, forKey: .correlationID)
        try container.encodeIfPresent(causationID, forKey: .causationID)
        try container.encodeIfPresent(traceparent, forKey: .traceparent)
        try container.encodeIfPresent(schemaVersion, forKey: .schemaVersion)
    }
}
