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

// PostgreSQL compares names byte by byte. Swift's strings are equal where they look alike: é in one scalar or in two would be
// one key here and two streams there, and an expectation of one could be taken for the other's.
extension StreamID {
    public static func == (left: StreamID, right: StreamID) -> Bool {
        left.aggregateType.utf8.elementsEqual(right.aggregateType.utf8)
            && left.aggregateID.utf8.elementsEqual(right.aggregateID.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        for var part in [aggregateType, aggregateID] {
            part.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
            // No UTF-8 has this byte, so that a/bc and ab/c differ.
            hasher.combine(0xFF as UInt8)
        }
    }
}
