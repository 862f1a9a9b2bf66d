#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A JSON document as the UTF-8 text that goes to PostgreSQL and comes back from it, undecoded until someone asks.
///
/// Nothing is validated here: PostgreSQL does that, once, when the event is stored. What is read back is the
/// text of the `jsonb` value, which means the same but need not be the same text: keys are sorted and unique.
public struct JSON: Sendable, Hashable {
    public let utf8: [UInt8]

    public init(utf8: [UInt8]) { self.utf8 = utf8 }

    /// JSON text, as it is.
    public init(_ text: String) { utf8 = Array(text.utf8) }

    /// The JSON of a value. Dates become RFC 3339 text with milliseconds, in UTC.
    public init(encoding value: some Encodable) throws {
        utf8 = Array(try JSON.encoder().encode(value))
    }

    /// The document as a value. Throws `DecodingError` where it does not fit.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSON.decode(type, from: Data(utf8))
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
        try JSON.decoder().decode(type, from: data)
    }

    public var text: String { String(decoding: utf8, as: UTF8.self) }

    public static let null = JSON("null")
    public static let emptyObject = JSON("{}")
}

extension JSON {
    // Fractions on the way in are optional, because other publishers write whole seconds.
    static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
        }
        return encoder
    }

    static func decoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            guard let date = Date(rfc3339: text) else {
                throw DecodingError.dataCorruptedError(
                    in: container,
                    debugDescription: "“\(text)” is not an RFC 3339 time such as 2026-01-31T12:00:00Z"
                )
            }
            return date
        }
        return decoder
    }
}
