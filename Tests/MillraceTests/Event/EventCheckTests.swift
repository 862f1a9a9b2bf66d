import Foundation
import MillracePostgres
import Testing

@testable import Millrace

/// A check of a history reports every event that the code cannot read, and no other.
@Suite(.timeLimit(.minutes(15)))
struct EventCheckTests {
    private struct Placed: TypedEvent {
        static let eventType = "order.placed"
        static let schemaVersion = 2
        struct Item: Codable { let price: Double }
        let cents: Int
        let currency: String
        var items: [Item]?
    }

    private struct Viewed: TypedEvent {
        static let eventType = "order.viewed"
    }

    private let check = EventCheck(
        Upcasters()
            .upcast("order.created", from: 1) { data in
                guard data["cents"]?.int != nil else { throw OldShop.Broken() }
                data["currency"] = "BRL"
            }
            .rename("order.created", to: "order.placed")
    )

    private func summary(_ problem: EventProblem) -> String {
        [
            problem.position.map { "\($0)" }, problem.kind.rawValue, problem.type, problem.currentType, problem.step,
            problem.path,
        ].compactMap { $0 }.joined(separator: " ")
    }

    @Test func everyEventThatWouldNotDecodeIsReportedWithItsPlace() async throws {
        try await withStore { store in
            let stream = StreamID("order", "1")
            try await store.append(
                [
                    OldShop.event("order.created", #"{"cents": 1}"#),
                    OldShop.event("order.created", #"{}"#),
                    OldShop.event("order.placed", #"{"cents": 1}"#, metadata: #"{"schema_version": 2}"#),
                    OldShop.event("order.placed", #"{"cents": 1, "currency": "BRL"}"#),
                    OldShop.event("order.placed", "{}", metadata: #"{"schema_version": "2"}"#),
                    OldShop.event("order.viewed"),
                    OldShop.event(
                        "order.created",
                        #"{"cents": 1, "items": [{"price": 1}, {"price": "1"}]}"#
                    ),
                    OldShop.event("order.viewed"),
                    OldShop.event("order.paid"),
                ],
                to: stream
            )
            let report = try await store.checkEvents(check.knowing(Placed.self, Viewed.self))
            #expect(
                report.problems.map(summary) == [
                    "2 step order.created upcast order.created from 1 to 2",
                    "3 decoding order.placed order.placed currency",
                    "4 version order.placed order.placed",
                    "5 schema_version order.placed",
                    "7 decoding order.created order.placed items[1].price",
                ]
            )
            #expect(report.problems.allSatisfy { $0.stream == stream && $0.eventID != nil && !$0.message.isEmpty })
            #expect(report.events == 9 && report.problemCount == 5)
            #expect(
                report.storedTypes.map { "\($0.type) \($0.events) \($0.problems)" } == [
                    "order.created 3 2", "order.paid 1 0", "order.placed 3 3", "order.viewed 2 0",
                ]
            )
            #expect(
                report.currentTypes.map { "\($0.type) \($0.events)" } == [
                    "order.paid 1", "order.placed 4", "order.viewed 2",
                ]
            )
            #expect(report.unknownTypes.map { "\($0.type) \($0.events)" } == ["order.paid 1"])
            #expect(!report.isClean)
            #expect(report.scannedTo == Position(9))

            let later = try await store.checkEvents(
                check.knowing(Placed.self, Viewed.self),
                after: Position(7),
                matching: .eventTypes("order.viewed")
            )
            #expect(later.isClean && later.events == 1)
        }
    }

    @Test func withoutTypesOnlyTheEnvelopeIsChecked() async throws {
        try await withStore { store in
            try await store.append(
                [
                    OldShop.event("a"), OldShop.event("a", "[1]"), OldShop.event("a", "null"),
                    NewEvent(type: "a", payload: OpaquePayload(bytes: [1], contentType: "b")),
                ],
                to: StreamID("s", "1")
            )
            let report = try await store.checkEvents(EventCheck())
            #expect(report.problems.map(summary) == ["2 data a a", "3 data a a"])
            #expect(report.unknownTypes.isEmpty)
        }
    }

    /// The store takes no such metadata; a file may hold it.
    @Test func metadataThatAreNoObjectAreReported() {
        let event = RecordedEvent(
            position: Position(1),
            type: "a",
            stream: StreamID("s", "1"),
            version: 1,
            metadata: JSON("[1]")
        )
        #expect(EventCheck().report(on: [event]).problems.map(summary) == ["1 metadata a"])
    }

    @Test func theListIsBoundedAndTheCountIsNot() async throws {
        try await withStore { store in
            for _ in 1...3 {
                try await store.append((1...100).map { _ in OldShop.event("order.created") }, to: StreamID("s", "1"))
            }
            var check = check
            check.problemLimit = 7
            var progress: [Int] = []
            let report = try await store.checkEvents(check, limits: PageLimits(events: 10)) {
                progress.append($0.events)
            }
            #expect(report.problems.map { $0.position?.rawValue } == (1...7).map { Int64($0) })
            #expect(report.problemCount == 300 && report.events == 300)
            #expect(progress == stride(from: 10, through: 300, by: 10).map { $0 })
        }
    }

    @Test(.enabled(if: RealData.isThere, "there is no folder ../shared/data beside the package"))
    func ofRealOrdersExactlyThoseAreReportedThatFail() async throws {
        try await withStore { store in
            let lines = try await RealData.lines(of: "olist-orders")
            for start in stride(from: 0, to: lines.count, by: 2_000) {
                var request = AppendRequest()
                for line in lines[start..<min(start + 2_000, lines.count)] {
                    request.append([NewEvent(type: line.type, data: JSON(utf8: line.data))], to: line.stream)
                }
                try await store.append(request)
            }
            // By another parser than the one under test.
            var expected: Set<String> = []
            for (index, line) in lines.enumerated() where line.type == "order.created" {
                let data = try #require(try JSONSerialization.jsonObject(with: Data(line.data)) as? [String: Any])
                if (data["items"] as? [Any])?.isEmpty == true { expected.insert("\(line.stream) \(index + 1)") }
            }
            try #require(expected.count > 100)
            let upcasters = Upcasters().upcast("order.created", from: 1) { data in
                guard let first = data["items"]?[0] else { throw OldShop.Broken() }
                data["first_item"] = first
            }
            let clock = ContinuousClock()
            var report = EventCheckReport()
            let time = try await clock.measure {
                report = try await store.checkEvents(EventCheck(upcasters, problemLimit: 100_000))
            }
            #expect(report.events == lines.count)
            #expect(report.problemCount == expected.count)
            let found = Set(
                report.problems.map { "\($0.stream.map { "\($0)" } ?? "") \($0.position.map { "\($0)" } ?? "")" }
            )
            #expect(found == expected)
            #expect(report.problems.allSatisfy { $0.step == "upcast order.created from 1 to 2" })
            print("EventCheck: \(report.events) events, \(report.problemCount) problems, in \(time)")
        }
    }

    @Test func aLineOfTheCommandIsTheEvent() throws {
        let line =
            #"{"id":12,"event_id":"0190b5a0-0000-7000-8000-000000000001","event_type":"a\u00e9","aggregate_type":"s","aggregate_id":"1","version":3,"event_data":{"a":[1,"}"]},"metadata":{"schema_version":2},"occurred_at":"2026-01-31T12:00:00Z","created_at":"2026-01-31T12:00:01.5Z"}"#
        let event = try RecordedEvent(line: Array(line.utf8), number: 1)
        #expect(event.position == Position(12) && event.version == 3 && event.type == "aé" && event.schemaVersion == 2)
        #expect(event.id == UUID(uuidString: "0190b5a0-0000-7000-8000-000000000001"))
        #expect(event.data.text == #"{"a":[1,"}"]}"#)
        #expect(event.occurredAt == Date(rfc3339: "2026-01-31T12:00:00Z"))
        #expect(event.createdAt == Date(rfc3339: "2026-01-31T12:00:01.5Z"))
        // As a file to import has it.
        let short = #"{"event_type":"a","aggregate_type":"s","aggregate_id":"1","event_data":null,"metadata":null}"#
        let other = try RecordedEvent(line: Array(short.utf8), number: 5)
        #expect(other.position == Position(5) && other.metadata == nil && other.data.text == "null")
    }

    @Test(
        arguments: [
            "x", "[]", "{", #"{"event_type":"a"}"#, #"{"event_type":"a","aggregate_type":"s","aggregate_id":"1"}"#,
            #"{"event_type":1,"aggregate_type":"s","aggregate_id":"1","event_data":{}}"#,
            #"{"event_type":"a","aggregate_type":"s","aggregate_id":"1","event_data":{},"event_id":"x"}"#,
            #"{"event_type":"a","aggregate_type":"s","aggregate_id":"1","event_data":{}} x"#,
        ]
    )
    func aLineThatIsNoEventIsRefused(line: String) {
        #expect(throws: (any Error).self) { try RecordedEvent(line: Array(line.utf8), number: 1) }
    }
}
