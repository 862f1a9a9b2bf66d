#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A stored event could not be lifted: a step threw, led in a circle, or made what it had not declared.
public struct UpcastingError: Error, CustomStringConvertible {
    public let eventID: UUID
    public let position: Position
    public let stream: StreamID
    /// As it is stored.
    public let type: String
    public let schemaVersion: Int
    /// The step that failed, by what it does; nil where the event's metadata do not say a version.
    public let step: String?
    public let cause: any Error

    public var description: String {
        "event \(eventID.uuidString.lowercased()) at position \(position) (“\(type)” in version \(schemaVersion), of \(stream)) cannot be lifted"
            + (step.map { ": step “\($0)”" } ?? "") + ": \(cause)"
    }
}

/// What is wrong with the steps themselves, or with an event's version.
enum UpcastingFault: Error, Sendable, Hashable, CustomStringConvertible {
    case circle([String])
    case undeclared(type: String)
    case tooManyParts
    case noVersion
    case noObject

    var description: String {
        switch self {
        case .circle(let steps):
            "more than \(Upcasters.stepLimit) steps, so they lead in a circle: … \(steps.joined(separator: ", ")) …"
        case .undeclared(let type): "it makes an event of the type “\(type)”, which it does not declare"
        case .tooManyParts: "it makes more than \(Upcasters.partLimit) events"
        case .noVersion: "its metadata's \(RecordedEvent.schemaVersionKey) is no positive whole number"
        case .noObject: "its metadata are no object"
        }
    }
}

/// An event on its way from step to step.
struct UpcastingDraft {
    enum Content {
        case text(JSON)
        case value(JSONValue)
    }

    var type: String
    var version: Int
    var data: Content
    var payload: OpaquePayload?

    var json: JSON {
        switch data {
        case .text(let json): json
        case .value(let value): JSON(value)
        }
    }

    func value() throws -> JSONValue {
        switch data {
        case .text(let json): try JSONValue(json)
        case .value(let value): value
        }
    }

    /// The stored event with this in it.
    func event(from stored: RecordedEvent) throws -> RecordedEvent {
        var metadata = stored.metadata
        if version != stored.schemaVersion {
            var value = try metadata.map { try JSONValue($0) } ?? .null
            if value.object == nil, !value.isNull { throw UpcastingFault.noObject }
            value[RecordedEvent.schemaVersionKey] = version == 1 ? nil : .number(JSONNumber(version))
            metadata = value.isNull ? metadata : JSON(value)
        }
        return RecordedEvent(stored, type: type, data: json, metadata: metadata, payload: payload)
    }
}

extension Upcasters {
    /// Steps that an error names.
    private static let namedSteps = 8

    /// What a stored event means now: itself where no step fits, one or several others, or nothing.
    ///
    /// Throws ``UpcastingError``.
    public func lift(_ event: RecordedEvent) throws -> [RecordedEvent] {
        guard concerns(event) else { return [event] }
        guard let version = event.validSchemaVersion else {
            throw UpcastingError(event, step: nil, UpcastingFault.noVersion)
        }
        let draft = UpcastingDraft(
            type: event.type,
            version: version,
            data: .text(event.data),
            payload: event.payload
        )
        var lifted: [RecordedEvent] = []
        try lift(draft, of: event, after: [], into: &lifted)
        if lifted.count == 1 { return lifted }
        return lifted.enumerated().map { $1.asPart($0, isLast: $0 == lifted.count - 1) }
    }

    /// What of it a filter wants; the last of that is its last part.
    func lift(_ event: RecordedEvent, matching filter: EventFilter) throws -> [RecordedEvent] {
        var events = try lift(event)
        if !filter.wantsEverything { events.removeAll { !filter.wants($0) } }
        if let last = events.last, !last.isLastPart {
            events[events.count - 1] = last.asPart(last.part, isLast: true)
        }
        return events
    }

    private func lift(
        _ draft: UpcastingDraft,
        of event: RecordedEvent,
        after steps: [String],
        into lifted: inout [RecordedEvent]
    ) throws {
        var draft = draft
        var steps = steps
        while let plan = plan(of: draft.type) {
            if let step = plan.versions[draft.version] {
                try count(step.name, &steps, of: event)
                try Upcasters.run(step.name, on: event) { try step.change(&draft) }
                draft.type = step.type
                draft.version = step.version
                continue
            }
            for condition in plan.conditions {
                let isDropped = try Upcasters.run(condition.name, on: event) {
                    try condition.holds(draft.event(from: event))
                }
                if isDropped { return }
            }
            guard let ending = plan.ending else { break }
            try count(ending.name, &steps, of: event)
            switch ending.kind {
            case .drop: return
            case .rename(let version):
                draft.type = ending.targets[0]
                draft.version = version ?? draft.version
            case .split(let split):
                let parts = try Upcasters.run(ending.name, on: event) {
                    try Upcasters.drafts(of: split(draft.event(from: event)), ending)
                }
                for part in parts { try lift(part, of: event, after: steps, into: &lifted) }
                return
            }
        }
        guard lifted.count < Upcasters.partLimit else {
            throw UpcastingError(event, step: steps.last, UpcastingFault.tooManyParts)
        }
        lifted.append(try Upcasters.run(steps.last, on: event) { try draft.event(from: event) })
    }

    private static func drafts(of events: [NewEvent], _ ending: Ending) throws -> [UpcastingDraft] {
        try events.map { event in
            guard ending.targets.contains(where: { $0.hasSameBytes(as: event.type) }) else {
                throw UpcastingFault.undeclared(type: event.type)
            }
            guard let version = RecordedEvent.schemaVersion(in: event.metadata) else { throw UpcastingFault.noVersion }
            return UpcastingDraft(
                type: event.type,
                version: version,
                data: .text(event.data),
                payload: event.payload
            )
        }
    }

    private func count(_ step: String, _ steps: inout [String], of event: RecordedEvent) throws {
        steps.append(step)
        guard steps.count > Upcasters.stepLimit else { return }
        throw UpcastingError(event, step: step, UpcastingFault.circle(Array(steps.suffix(Upcasters.namedSteps))))
    }

    private static func run<Value>(
        _ step: String?,
        on event: RecordedEvent,
        _ body: () throws -> Value
    ) throws -> Value {
        do {
            return try body()
        } catch {
            throw UpcastingError(event, step: step, error)
        }
    }
}

extension UpcastingError {
    init(_ event: RecordedEvent, step: String?, _ cause: any Error) {
        eventID = event.id
        position = event.position
        stream = event.stream
        type = event.type
        schemaVersion = event.schemaVersion
        self.step = step
        self.cause = cause
    }
}
