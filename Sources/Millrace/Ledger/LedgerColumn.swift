/// A column of `millrace.events`, in the order of an entry.
package enum LedgerColumn: String, Sendable, CaseIterable {
    case id
    case eventID = "event_id"
    case eventType = "event_type"
    case aggregateType = "aggregate_type"
    case aggregateID = "aggregate_id"
    case version
    case eventData = "event_data"
    case metadata
    case occurredAt = "occurred_at"
    case createdAt = "created_at"
    case payload
    case contentType = "content_type"
    case previousHash = "previous_hash"
    case currentHash = "current_hash"

    /// How a column's value stands in the entry.
    enum Form {
        /// As many bytes as these.
        case fixed(Int)
        /// 4 bytes of length before it; in front of that, where it may be NULL, a byte that says whether it is.
        case sized(isOptional: Bool, isJSON: Bool)
    }

    var form: Form {
        switch self {
        case .id, .occurredAt, .createdAt: .fixed(8)
        case .eventID: .fixed(16)
        case .version: .fixed(4)
        case .eventType, .aggregateType, .aggregateID: .sized(isOptional: false, isJSON: false)
        case .eventData: .sized(isOptional: false, isJSON: true)
        case .metadata: .sized(isOptional: true, isJSON: true)
        case .payload, .contentType, .previousHash, .currentHash: .sized(isOptional: true, isJSON: false)
        }
    }

    /// Its place among the columns.
    var place: Int { LedgerColumn.places[self] ?? 0 }

    private static let places = Dictionary(uniqueKeysWithValues: allCases.enumerated().map { ($1, $0) })

    /// Those that have a digest: all but the position.
    package static let digested = Array(allCases.dropFirst())

    /// Two bytes for each of ``digested``.
    package static let digestBytes = 2 * digested.count

    /// The columns whose digests differ; both must have ``digestBytes`` bytes.
    package static func differing(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> [LedgerColumn] {
        let (left, right) = (Array(left), Array(right))
        precondition(left.count == digestBytes && right.count == digestBytes, "each column has a digest of two bytes")
        return digested.enumerated().filter { index, _ in
            left[2 * index] != right[2 * index] || left[2 * index + 1] != right[2 * index + 1]
        }.map(\.element)
    }
}
