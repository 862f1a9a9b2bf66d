import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("Events are imported")
struct EventImportTests {
    private static func event(_ number: Int, streams: Int) -> ImportEvent {
        var event = NewEvent(type: "counted", data: JSON("{\"n\":\(number)}"))
        if number % 3 == 0 { event.metadata = JSON("{\"third\":true}") }
        if number % 2 == 0 { event.occurredAt = Date(timeIntervalSince1970: Double(number) + 0.25) }
        return ImportEvent(event, to: StreamID("import", "s\(number % streams)"))
    }

    private static func events(_ count: Int, streams: Int = 7) -> [ImportEvent] {
        (1...count).map { event($0, streams: streams) }
    }

    /// A sequence that fails after its elements.
    private struct Interrupted: Error {}

    private static func sequence(_ events: [ImportEvent], thenFails: Bool = false) -> AsyncThrowingStream<
        ImportEvent, any Error
    > {
        AsyncThrowingStream { continuation in
            for event in events { continuation.yield(event) }
            continuation.finish(throwing: thenFails ? Interrupted() : nil)
        }
    }

    private static func numbers(_ client: PostgresClient, stream: String) async throws -> [String?] {
        try await client.texts(
            "SELECT event_data ->> 'n' FROM millrace.events WHERE aggregate_id = '\(stream)' ORDER BY id"
        )
    }

    @Test("as they are, in their order, with the times and ids they have")
    func exact() async throws {
        try await withStore { store in
            var events = Self.events(50)
            events[10] = ImportEvent(
                NewEvent(type: "bytes", payload: OpaquePayload(bytes: [0, 1, 0xFF], contentType: "image/x")),
                to: StreamID("import", "é\"\\\n")
            )
            let summary = try await store.importEvents(
                from: Self.sequence(events),
                named: "fifty",
                limits: ImportLimits(events: 7)
            )
            #expect(summary == ImportSummary(passedOver: 0, stored: 50, repeated: 0))
            var read: [RecordedEvent] = []
            for try await event in store.readAll() { read.append(event) }
            #expect(read.map(\.id) == events.map(\.event.id))
            #expect(read.map(\.stream) == events.map(\.stream))
            let metadata = events.map { $0.event.metadata == nil ? nil : "{\"third\": true}" }
            #expect(read.map { $0.metadata?.text } == metadata)
            #expect(read[10].payload == events[10].event.payload)
            for (event, original) in zip(read, events) {
                let expected = original.event.occurredAt ?? event.createdAt
                #expect(event.occurredAt == expected)
            }
            let audit = try await LogAudit(of: store.client)
            #expect(audit.brokenStreams.isEmpty)
            let outside = try await store.client.text(
                """
                SELECT count(*)::text FROM millrace.events AS e JOIN millrace.streams AS s USING (aggregate_type, aggregate_id)
                WHERE e.created_at NOT BETWEEN s.first_event_at AND s.last_event_at
                """
            )
            #expect(outside == "0")
            #expect(try await store.client.text("SELECT sum(version)::text FROM millrace.streams") == "50")
        }
    }

    @Test("once, however often, and what was interrupted goes on after its last chunk")
    func resumes() async throws {
        try await withStore { store in
            let limits = ImportLimits(events: 10)
            await #expect(throws: Interrupted.self) {
                try await store.importEvents(
                    from: Self.sequence(Array(Self.events(100).prefix(35)), thenFails: true),
                    named: "cut",
                    limits: limits
                )
            }
            #expect(try await store.importProgress(of: "cut")?.lines == 30)
            // Made anew, with other ids.
            let rest = try await store.importEvents(from: Self.sequence(Self.events(100)), named: "cut", limits: limits)
            #expect(rest == ImportSummary(passedOver: 30, stored: 70, repeated: 0))
            let again = try await store.importEvents(
                from: Self.sequence(Self.events(100)),
                named: "cut",
                limits: limits
            )
            #expect(again == ImportSummary(passedOver: 100, stored: 0, repeated: 0))
            #expect(
                try await Self.numbers(store.client, stream: "s3")
                    == stride(from: 3, through: 100, by: 7).map(String.init)
            )

            var others = Self.events(100)
            others[4] = ImportEvent(NewEvent(type: "other", data: .null), to: others[4].stream)
            let error = await #expect(throws: EventStoreError.self) {
                try await store.importEvents(from: Self.sequence(others), named: "cut")
            }
            let said = String(describing: error)
            #expect(said.contains("its first 100 are not these"))
        }
    }

    @Test("without those whose ids are stored already, also where only some of a chunk's are")
    func repeated() async throws {
        try await withStore { store in
            let events = Self.events(30)
            try await store.importEvents(from: Self.sequence(Array(events[5..<15])), named: "first")
            let all = try await store.importEvents(from: Self.sequence(events), named: "all")
            #expect(all == ImportSummary(passedOver: 0, stored: 20, repeated: 10))
            #expect(try await LogAudit(of: store.client).brokenStreams.isEmpty)
        }
    }

    @Test("an id of another month is found, which no constraint would")
    func repeatedAcrossMonths() async throws {
        try await withStore { store in
            let events = Self.events(3, streams: 1)
            try await store.importEvents(from: Self.sequence(events), named: "first")
            // The open month begins next month: whatever is stored now goes to another partition.
            try await store.client.run(
                "UPDATE millrace.store SET open_since = date_trunc('month', clock_timestamp(), 'UTC') + interval '33 days'"
            )
            let again = try await store.importEvents(from: Self.sequence(events + Self.events(2)), named: "again")
            #expect(again == ImportSummary(passedOver: 0, stored: 2, repeated: 3))
            let partitions = try await store.client.text("SELECT count(DISTINCT tableoid)::text FROM millrace.events")
            #expect(partitions == "2")
        }
    }

    static let refusals: [(NewEvent, String)] = [
        (NewEvent(type: "", data: .null), "event_type"),
        (NewEvent(type: "a", data: JSON("{\"half\":")), "event_data is not JSON"),
        (NewEvent(type: "a", data: JSON("1,\"aggregate_id\":\"elsewhere\"")), "event_data is not JSON"),
        (NewEvent(type: "a", data: .null, metadata: JSON("[1]")), "metadata"),
        (NewEvent(type: "a", data: .null, occurredAt: Date(timeIntervalSince1970: 1e12)), "occurred_at"),
        (NewEvent(type: "a\0b", data: .null), "Unicode"),
        (NewEvent(type: "a", data: JSON("\"" + String(repeating: "x", count: 1 << 20) + "\"")), "limit"),
    ]

    @Test("up to one that is none, which is named by its number", arguments: refusals)
    func refused(bad: NewEvent, word: String) async throws {
        try await withStore { store in
            var events = Self.events(20)
            events[13] = ImportEvent(bad, to: StreamID("import", "s1"))
            let error = await #expect(throws: EventStoreError.self) {
                try await store.importEvents(
                    from: Self.sequence(events),
                    named: "bad",
                    limits: ImportLimits(events: 5)
                )
            }
            let said = String(describing: error)
            #expect(said.contains("event 14 of import “bad” is refused"), "\(said)")
            #expect(said.contains(word), "\(said)")
            let known = try await store.importProgress(of: "bad")
            #expect(known?.lines == 10)
            #expect(try await store.client.text("SELECT count(*)::text FROM millrace.events") == "10")
        }
    }

    @Test("also a large one, which has to be measured first")
    func large() async throws {
        try await withStore { store in
            let text = "\"" + String(repeating: "x", count: 300_000) + "\""
            let events = Self.events(3) + [ImportEvent(NewEvent(type: "a", data: JSON(text)), to: StreamID("l", "1"))]
            let summary = try await store.importEvents(from: Self.sequence(events), named: "large")
            #expect(summary.stored == 4)
            #expect(
                try await store.client.text("SELECT event_data::text FROM millrace.events WHERE event_type = 'a'")
                    == text
            )
        }
    }
}
