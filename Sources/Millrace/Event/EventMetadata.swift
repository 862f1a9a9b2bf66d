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
    /// On whose behalf it happened, in the publisher's own words: `actor`.
    public var actor: String?
    /// The publisher's own keys.
    public var own: [String: String]

    public init(
        correlationID: String? = nil,
        causationID: String? = nil,
        traceparent: String? = nil,
        schemaVersion: Int? = nil,
        actor: String? = nil,
        own: [String: String] = [:]
    ) {
        self.correlationID = correlationID
        self.causationID = causationID
        self.traceparent = traceparent
        self.schemaVersion = schemaVersion
        self.actor = actor
        self.own = own
    }
}

extension EventMetadata {
    /// What the events have that are decided in this task and do not say otherwise; see ``Aggregate/execute(_:on:in:)``.
    ///
    ///     try await EventMetadata.$current.withValue(EventMetadata(correlationID: request.id, actor: user.name)) {
    ///         try await accounts.execute(.deposit(cents: 100), on: "a-1")
    ///     }
    ///
    /// What is appended without a decider is stored with the metadata that it was given.
    @TaskLocal public static var current: EventMetadata?

    /// The same with what another one says where this one says nothing.
    func completed(by other: EventMetadata?) -> EventMetadata {
        guard let other else { return self }
        return EventMetadata(
            correlationID: correlationID ?? other.correlationID,
            causationID: causationID ?? other.causationID,
            traceparent: traceparent ?? other.traceparent,
            actor: actor ?? other.actor,
            own: own.merging(other.own) { ours, _ in ours }
        )
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
        static let actor = Key(stringValue: "actor")
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
        actor = values.removeValue(forKey: Key.actor.stringValue)
        own = values
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (key, value) in own { try container.encode(value, forKey: Key(stringValue: key)) }
        try container.encodeIfPresent(correlationID, forKey: .correlationID)
        try container.encodeIfPresent(causationID, forKey: .causationID)
        try container.encodeIfPresent(traceparent, forKey: .traceparent)
        try container.encodeIfPresent(schemaVersion, forKey: .schemaVersion)
        try container.encodeIfPresent(actor, forKey: .actor)
    }
}
