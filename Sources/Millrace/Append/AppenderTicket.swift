/// A request on its way: numbered, measured, and known to be sendable.
struct AppenderTicket: Sendable, Hashable {
    struct Expectation: Sendable, Hashable {
        let stream: StreamID
        /// As `millrace.append_events` spells it.
        let version: Int32
    }

    let id: UInt64
    let request: AppendRequest
    let expectations: [Expectation]
    /// What it counts towards the limits in bytes.
    let byteCount: Int

    /// Fixed-size fields, lengths and bookkeeping of an event.
    private static let bytesBesideText = 96

    /// - Throws: ``EventStoreError/invalidEvent(_:hint:)`` for what can be seen to be wrong without the server.
    init(_ id: UInt64, _ request: AppendRequest) throws(EventStoreError) {
        guard !request.entries.isEmpty else {
            throw .invalidEvent("the request has no events", hint: "Append at least one event.")
        }
        var expectations: [Expectation] = []
        for (stream, expected) in request.expectations {
            guard let version = try expected.wireValue else { continue }
            expectations.append(Expectation(stream: stream, version: version))
        }
        var bytes = 0
        for entry in request.entries {
            bytes += AppenderTicket.bytesBesideText + entry.event.type.utf8.count
            bytes += entry.stream.aggregateType.utf8.count + entry.stream.aggregateID.utf8.count
            bytes += entry.event.data.utf8.count + (entry.event.metadata?.utf8.count ?? 0)
            bytes += entry.event.payload?.bytes.count ?? 0
        }
        for expectation in expectations {
            bytes += AppenderTicket.bytesBesideText
            bytes += expectation.stream.aggregateType.utf8.count + expectation.stream.aggregateID.utf8.count
        }
        self.id = id
        self.request = request
        self.expectations = expectations
        byteCount = bytes
    }

    /// What it counts towards the limit in events; the store limits expectations in the same way.
    var weight: Int { max(request.entries.count, expectations.count) }
}
