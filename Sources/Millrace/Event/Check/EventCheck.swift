/// Whether code can read events: runs all steps over them and decodes what comes of it, and says of each that fails why.
///
///     let check = EventCheck(upcasters).knowing(OrderPlaced.self, OrderPaid.self)
///     let report = try await store.checkEvents(check)
///
/// For a CI without a way to the database there is ``main()``, which makes a program of it that `millrace check-events` feeds.
///
/// Of every event it is looked whether its metadata are an object and its `schema_version` a positive whole number. Where types are known,
/// what events have become is decoded as them, and a type that is not among them is reported; where none is, their data have to be an object.
public struct EventCheck: Sendable {
    private struct Decoder: Sendable {
        let type: String
        let version: Int
        let decode: @Sendable (RecordedEvent) throws -> Void
    }

    public let upcasters: Upcasters
    /// Problems that a report lists; all are counted.
    public var problemLimit: Int
    private var decoders: [Decoder] = []

    public init(_ upcasters: Upcasters = Upcasters(), problemLimit: Int = 1_000) {
        precondition(problemLimit > 0, "a report lists a problem at least")
        self.upcasters = upcasters
        self.problemLimit = problemLimit
    }

    /// The same with types that the code knows.
    public func knowing<each Event: TypedEvent>(_ types: repeat (each Event).Type) -> EventCheck {
        var check = self
        repeat check.add((each types))
        return check
    }

    private mutating func add<Event: TypedEvent>(_ type: Event.Type) {
        precondition(
            !decoders.contains { $0.type.hasSameBytes(as: Event.eventType) },
            "“\(Event.eventType)” is known twice"
        )
        decoders.append(
            Decoder(type: Event.eventType, version: Event.schemaVersion) { _ = try $0.decode(Event.self) }
        )
    }

    /// What is to be said of these events.
    func report(on events: [RecordedEvent]) -> EventCheckReport {
        var report = EventCheckReport()
        for event in events { check(event, &report) }
        report.events = events.count
        report.scannedTo = events.last?.position ?? .start
        return report
    }

    private func check(_ event: RecordedEvent, _ report: inout EventCheckReport) {
        let before = report.problemCount
        if let problem = EventCheck.problem(ofEnvelope: event) {
            report.add(problem, limit: problemLimit)
        } else {
            do {
                for current in try upcasters.lift(event) { check(current, of: event, &report) }
            } catch let error as UpcastingError {
                report.add(EventProblem(.step, event, step: error.step, .init(error.cause)), limit: problemLimit)
            } catch {
                report.add(EventProblem(.step, event, .init(error)), limit: problemLimit)
            }
        }
        EventCheckReport.count(event, failed: report.problemCount > before, in: &report.storedTypes)
    }

    private func check(_ current: RecordedEvent, of event: RecordedEvent, _ report: inout EventCheckReport) {
        let problem = problem(of: current, from: event)
        if let problem { report.add(problem, limit: problemLimit) }
        EventCheckReport.count(current, failed: problem != nil, in: &report.currentTypes)
        if !decoders.isEmpty, decoder(of: current) == nil {
            EventCheckReport.count(current, failed: false, in: &report.unknownTypes)
        }
    }

    private func decoder(of event: RecordedEvent) -> Decoder? { decoders.first { event.hasType($0.type) } }

    private static func problem(ofEnvelope event: RecordedEvent) -> EventProblem? {
        if let metadata = event.metadata, !metadata.isObject {
            return EventProblem(.metadata, event, .init("its metadata are no object"))
        }
        if event.validSchemaVersion == nil {
            return EventProblem(.schemaVersion, event, .init("\(UpcastingFault.noVersion)"))
        }
        return nil
    }

    private func problem(of current: RecordedEvent, from event: RecordedEvent) -> EventProblem? {
        guard let decoder = decoder(of: current) else {
            guard decoders.isEmpty, current.payload == nil, !current.data.isObject else { return nil }
            return EventProblem(.data, event, became: current, .init("its data are no object"))
        }
        guard current.schemaVersion == decoder.version else {
            return EventProblem(
                .version,
                event,
                became: current,
                .init("it is in version \(current.schemaVersion), and the code knows version \(decoder.version)")
            )
        }
        do {
            try decoder.decode(current)
            return nil
        } catch {
            return EventProblem(.decoding, event, became: current, .init(error))
        }
    }
}

extension JSON {
    fileprivate var isObject: Bool { utf8.first { !" \t\r\n".utf8.contains($0) } == UInt8(ascii: "{") }
}
