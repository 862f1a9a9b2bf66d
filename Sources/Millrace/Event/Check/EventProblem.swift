#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Why a stored event cannot be read by the code that was checked.
public struct EventProblem: Sendable, Hashable, Codable {
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// A line of the input is no event.
        case line
        /// Its data are no object, and nobody knows its type.
        case data
        /// Its metadata are no object.
        case metadata
        /// Its metadata's `schema_version` is no positive whole number.
        case schemaVersion = "schema_version"
        /// A step throws.
        case step
        /// No step leads to the version that the type has in the code.
        case version
        /// The data do not decode.
        case decoding
    }

    public let kind: Kind
    /// nil of a line that is no event, as what follows.
    public let position: Position?
    public let eventID: UUID?
    public let aggregateType: String?
    public let aggregateID: String?
    /// As they are stored.
    public let type: String?
    public let schemaVersion: Int?
    /// What it has become where that is where it fails.
    public let currentType: String?
    /// The step that throws, by what it does.
    public let step: String?
    /// Where in the data: `items[0].price`.
    public let path: String?
    public let message: String

    enum CodingKeys: String, CodingKey {
        case kind, position, step, path, message
        case eventID = "event_id"
        case aggregateType = "aggregate_type"
        case aggregateID = "aggregate_id"
        case type = "event_type"
        case schemaVersion = "schema_version"
        case currentType = "current_type"
    }

    public var stream: StreamID? {
        guard let aggregateType, let aggregateID else { return nil }
        return StreamID(aggregateType, aggregateID)
    }
}

extension EventProblem {
    init(
        _ kind: Kind,
        _ event: RecordedEvent,
        became current: RecordedEvent? = nil,
        step: String? = nil,
        _ fault: Fault
    ) {
        self.kind = kind
        position = event.position
        eventID = event.id
        aggregateType = event.stream.aggregateType
        aggregateID = event.stream.aggregateID
        type = event.type
        schemaVersion = event.validSchemaVersion
        currentType = current?.type
        self.step = step
        path = fault.path
        message = fault.message
    }

    /// A line that is no event.
    init(line number: Int, _ message: String) {
        kind = .line
        position = nil
        eventID = nil
        aggregateType = nil
        aggregateID = nil
        type = nil
        schemaVersion = nil
        currentType = nil
        step = nil
        path = nil
        self.message = "line \(number): \(message)"
    }

    /// An error in words, and where in the data it is.
    struct Fault {
        /// A message is kept up to here.
        static let longestMessage = 500

        let path: String?
        let message: String

        init(_ message: String) {
            path = nil
            self.message = message
        }

        init(_ error: any Error) {
            guard let error = error as? DecodingError else {
                self.init(String("\(error)".prefix(Fault.longestMessage)))
                return
            }
            switch error {
            case .keyNotFound(let key, let context):
                self.init(context.codingPath + [key], "it is missing")
            case .valueNotFound(let type, let context):
                self.init(context.codingPath, "it is null, where \(type) is expected")
            case .typeMismatch(let type, let context):
                self.init(context.codingPath, "no \(type): \(context.debugDescription)")
            case .dataCorrupted(let context): self.init(context.codingPath, context.debugDescription)
            @unknown default: self.init([], "\(error)")
            }
        }

        private init(_ path: [any CodingKey], _ message: String) {
            var text = ""
            for key in path {
                if let index = key.intValue {
                    text += "[\(index)]"
                } else {
                    text += (text.isEmpty ? "" : ".") + key.stringValue
                }
            }
            self.path = text.isEmpty ? nil : text
            self.message = String(message.prefix(Fault.longestMessage))
        }
    }
}
