/// A value that may have been forgotten: what a field has as its type that is declared in ``PersonalData``.
///
///     struct CustomerRegistered: TypedEvent {
///         static let eventType = "customer.registered"
///         let name: Personal<String>
///     }
///
/// Its JSON is that of the value itself, and `{"$redacted": true}` where it was forgotten. A value that may be missing is an optional of this type.
public enum Personal<Value> {
    case value(Value)
    /// There was a value, and its subject was forgotten.
    case redacted

    /// nil where it was forgotten.
    public var value: Value? {
        if case .value(let value) = self { value } else { nil }
    }
}

extension Personal: Sendable where Value: Sendable {}
extension Personal: Equatable where Value: Equatable {}
extension Personal: Hashable where Value: Hashable {}

private enum PersonalKey: String, CodingKey {
    case redacted = "$redacted"
    case envelope = "$personal"
}

extension Personal: Decodable where Value: Decodable {
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: PersonalKey.self) {
            if (try? container.decode(Bool.self, forKey: .redacted)) == true {
                self = .redacted
                return
            }
            if container.contains(.envelope) {
                throw DecodingError.dataCorrupted(
                    DecodingError.Context(
                        codingPath: decoder.codingPath,
                        debugDescription: "it is encrypted: read it through a store that is given its PersonalData"
                    )
                )
            }
        }
        self = .value(try Value(from: decoder))
    }
}

extension Personal: Encodable where Value: Encodable {
    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .value(let value): try value.encode(to: encoder)
        case .redacted:
            var container = encoder.container(keyedBy: PersonalKey.self)
            try container.encode(true, forKey: .redacted)
        }
    }
}

extension JSONValue {
    static let redacted: JSONValue = ["$redacted": true]
}
