#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Why a line is no event.
struct EventLineError: Error, CustomStringConvertible {
    let description: String
}

extension RecordedEvent {
    /// An event as `millrace read --json` writes it: the columns of the table `events` under their own names, of which those that an import
    /// leaves out may be missing. Data and metadata are cut out as they are.
    init(line: [UInt8], number: Int) throws {
        let fields = try line.withUnsafeBytes { try EventLineFields($0) }
        let stream = StreamID(try fields.text("aggregate_type"), try fields.text("aggregate_id"))
        let payload: OpaquePayload? =
            if let text = try fields.optionalText("payload") {
                try OpaquePayload(
                    bytes: Array(
                        Data(base64Encoded: text) ?? { throw EventLineError(description: "payload is no Base64") }()
                    ),
                    contentType: fields.text("content_type")
                )
            } else { nil }
        guard let data = fields["event_data"] ?? (payload == nil ? nil : Array("null".utf8)) else {
            throw EventLineError(description: "event_data is missing")
        }
        self.init(
            position: Position(try fields.integer("id") ?? Int64(number)),
            id: try fields.optionalText("event_id").map { text in
                guard let id = UUID(uuidString: text) else { throw EventLineError(description: "event_id is no UUID") }
                return id
            } ?? .version7(),
            type: try fields.text("event_type"),
            stream: stream,
            version: Int(try fields.integer("version") ?? 1),
            data: JSON(utf8: data),
            metadata: fields["metadata"].map { JSON(utf8: $0) },
            payload: payload,
            occurredAt: try fields.date("occurred_at"),
            storedAt: try fields.date("created_at") ?? .now
        )
    }
}

/// The members of a line's object, as they are written; those that are null are left out, but for the data, which may be that.
private struct EventLineFields {
    private var values: [String: [UInt8]] = [:]

    init(_ line: UnsafeRawBufferPointer) throws {
        let noObject = EventLineError(description: "it is no JSON object")
        var cursor = JSONCursor(line)
        cursor.skipSpace()
        guard cursor.take(UInt8(ascii: "{")) else { throw noObject }
        repeat {
            cursor.skipSpace()
            guard let name = cursor.value() else { throw noObject }
            cursor.skipSpace()
            guard cursor.take(UInt8(ascii: ":")) else { throw noObject }
            cursor.skipSpace()
            guard let value = cursor.value() else { throw noObject }
            let key = String(decoding: name.dropFirst().dropLast(), as: UTF8.self)
            if key == "event_data" || !value.elementsEqual("null".utf8) { values[key] = Array(value) }
            cursor.skipSpace()
        } while cursor.takeComma()
        guard cursor.take(UInt8(ascii: "}")) else { throw noObject }
        cursor.skipSpace()
        guard cursor.isAtEnd else { throw noObject }
    }

    subscript(name: String) -> [UInt8]? { values[name] }

    func optionalText(_ name: String) throws -> String? {
        try values[name].map { utf8 in
            guard case .string(let text) = try JSONValue(JSON(utf8: utf8)) else {
                throw EventLineError(description: "\(name) is no text")
            }
            return text
        }
    }

    func text(_ name: String) throws -> String {
        guard let text = try optionalText(name) else { throw EventLineError(description: "\(name) is missing") }
        return text
    }

    func integer(_ name: String) throws -> Int64? {
        try values[name].map { utf8 in
            guard let number = Int64(String(decoding: utf8, as: UTF8.self)) else {
                throw EventLineError(description: "\(name) is no whole number")
            }
            return number
        }
    }

    func date(_ name: String) throws -> Date? {
        try optionalText(name).map { text in
            guard let date = Date(rfc3339: text) else {
                throw EventLineError(description: "\(name) is no time as RFC 3339 writes it")
            }
            return date
        }
    }
}
