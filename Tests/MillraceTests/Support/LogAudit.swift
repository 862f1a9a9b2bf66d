import Foundation
import Millrace
import MillracePostgres
import Synchronization

/// One event as somebody saw it: the table, or a reader.
struct Sighting: Sendable, Hashable {
    let position: Int64
    let id: UUID
    let type: String
    let stream: StreamID
    let version: Int
}

extension Sighting {
    init(_ event: RecordedEvent) {
        self.init(
            position: event.position.rawValue,
            id: event.id,
            type: event.type,
            stream: event.stream,
            version: event.version
        )
    }

    init(_ row: PostgresRow) throws {
        self.init(
            position: try row.decode(Int64.self, named: "id"),
            id: try row.decode(UUID.self, named: "event_id"),
            type: try row.decode(String.self, named: "event_type"),
            stream: StreamID(
                try row.decode(String.self, named: "aggregate_type"),
                try row.decode(String.self, named: "aggregate_id")
            ),
            version: Int(try row.decode(Int32.self, named: "version"))
        )
    }
}

/// What one reader was given, in the order in which it was.
final class Sightings: Sendable {
    let reader: String
    private let seen = Mutex<[Sighting]>([])

    init(of reader: String) { self.reader = reader }

    func note(_ event: RecordedEvent) { note(Sighting(event)) }
    func note(_ sighting: Sighting) { seen.withLock { $0.append(sighting) } }

    var all: [Sighting] { seen.withLock { $0 } }
    var count: Int { seen.withLock { $0.count } }
    var last: Sighting? { seen.withLock { $0.last } }
}

/// The log as the table has it once all writers have settled, read without any of the functions under test.
struct LogAudit: Sendable {
    let log: [Sighting]

    private static let everything: PostgresStatement = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version FROM millrace.events ORDER BY id
        """

    init(of session: any PostgresSession) async throws {
        log = try await session.query(LogAudit.everything).map { try Sighting($0) }
    }

    /// What is wrong with what a reader was given, event by event.
    struct Findings: Sendable, CustomStringConvertible {
        let reader: String
        let delivered: Int
        var skipped: [Sighting] = []
        var doubled: [Sighting] = []
        /// Given after an event of a higher position.
        var disordered: [Sighting] = []
        /// Given, but not like this in the table.
        var invented: [Sighting] = []

        var isClean: Bool { skipped.isEmpty && doubled.isEmpty && disordered.isEmpty && invented.isEmpty }

        var description: String {
            "\(reader): \(delivered) delivered, \(skipped.count) skipped, \(doubled.count) doubled, "
                + "\(disordered.count) out of order, \(invented.count) not in the table"
        }
    }

    func findings(on sightings: Sightings, wanted: (Sighting) -> Bool = { _ in true }) -> Findings {
        let delivered = sightings.all
        var findings = Findings(reader: sightings.reader, delivered: delivered.count)
        let stored = Set(log)
        var seen: Set<Sighting> = []
        var highest: Int64 = 0
        for sighting in delivered {
            if !stored.contains(sighting) || !wanted(sighting) { findings.invented.append(sighting) }
            if !seen.insert(sighting).inserted {
                findings.doubled.append(sighting)
            } else if sighting.position < highest {
                findings.disordered.append(sighting)
            }
            highest = max(highest, sighting.position)
        }
        findings.skipped = log.filter { wanted($0) && !seen.contains($0) }
        return findings
    }

    /// Streams whose versions, taken in position order, are not 1, 2, 3 … to the end.
    var brokenStreams: Set<StreamID> {
        var last: [StreamID: Int] = [:]
        var broken: Set<StreamID> = []
        for sighting in log {
            if sighting.version != last[sighting.stream, default: 0] + 1 { broken.insert(sighting.stream) }
            last[sighting.stream] = sighting.version
        }
        return broken
    }

    var streamCount: Int { Set(log.map(\.stream)).count }
}
