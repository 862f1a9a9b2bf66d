import Foundation
import Millrace
import MillracePostgres
import Testing

/// What cannot be stored is refused with a sentence that names the field; nothing of it is stored, and the connection
/// goes on as if nothing had been.
@Suite(.timeLimit(.minutes(15)))
struct BadEventTests {
    /// Something a publisher may get wrong, and what the refusal has to say.
    struct Mistake: Sendable, CustomTestStringConvertible {
        let name: String
        var type = "t"
        var stream = StreamID("bad", "1")
        var data = JSON.emptyObject
        var metadata: JSON?
        var occurredAt: Date?
        var payload: OpaquePayload?
        var expected = ExpectedVersion.any
        let says: [String]

        var testDescription: String { name }

        var event: NewEvent {
            var event = NewEvent(type: type, data: data, metadata: metadata, occurredAt: occurredAt)
            event.payload = payload
            return event
        }
    }

    private static let long = String(repeating: "n", count: 256)
    private static let deep = String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000)
    /// Not compressible, because the limit is on what the server holds.
    private static let big = JSON.noise(atLeast: 1 << 20)

    static let mistakes: [Mistake] = [
        Mistake(
            name: "JSON that ends too early",
            data: JSON(#"{"a":"#),
            says: ["event_data", "invalid input syntax for type json"]
        ),
        Mistake(name: "no JSON at all", data: JSON(""), says: ["event_data", "invalid input syntax for type json"]),
        Mistake(name: "a NUL escape", data: JSON(#"{"a":"\u0000"}"#), says: ["event_data", #"\u0000"#]),
        Mistake(
            name: "a number that jsonb cannot hold",
            data: JSON(#"{"a":1e200000}"#),
            says: ["event_data", "value overflows numeric format"]
        ),
        Mistake(name: "a lone surrogate", data: JSON(#"{"a":"\ud800"}"#), says: ["event_data", "surrogate"]),
        Mistake(name: "20,000 levels of nesting", data: JSON(deep), says: ["event_data", "stack depth limit"]),
        Mistake(name: "bytes that are not UTF-8", data: JSON(utf8: [0x22, 0xFF, 0x22]), says: ["event_data", "UTF8"]),
        Mistake(
            name: "malformed metadata",
            metadata: JSON("{"),
            says: ["metadata", "invalid input syntax for type json"]
        ),
        Mistake(name: "metadata that is no object", metadata: JSON("[1]"), says: ["metadata", "array"]),
        Mistake(name: "an empty event type", type: "", says: ["event_type", "empty"]),
        Mistake(name: "an over-long event type", type: long, says: ["event_type", "256 characters", "1 to 255"]),
        Mistake(name: "an empty aggregate type", stream: StreamID("", "1"), says: ["aggregate_type", "empty"]),
        Mistake(
            name: "an over-long aggregate type",
            stream: StreamID(long, "1"),
            says: ["aggregate_type", "256 characters"]
        ),
        Mistake(name: "an empty aggregate id", stream: StreamID("bad", ""), says: ["aggregate_id", "empty"]),
        Mistake(
            name: "an over-long aggregate id",
            stream: StreamID("bad", long),
            says: ["aggregate_id", "256 characters"]
        ),
        Mistake(name: "a NUL in a name", type: "a\0b", says: ["UTF8", "0x00"]),
        Mistake(name: "an oversized event", data: big, says: ["event_data", "the limit is 1048576"]),
        Mistake(
            name: "an oversized payload",
            data: .null,
            payload: OpaquePayload(
                bytes: Array(repeating: 7, count: 1_048_577),
                contentType: "application/octet-stream"
            ),
            says: ["payload", "the limit is 1048576"]
        ),
        Mistake(
            name: "a content type that is empty",
            data: .null,
            payload: OpaquePayload(bytes: [1], contentType: ""),
            says: ["content_type", "empty"]
        ),
        Mistake(name: "a time that is none", occurredAt: Date(timeIntervalSince1970: .infinity), says: ["occurred_at"]),
        Mistake(
            name: "a time that is not even a number",
            occurredAt: Date(timeIntervalSince1970: .nan),
            says: ["occurred_at"]
        ),
        Mistake(name: "version 0 as the expected one", expected: .exactly(0), says: ["version 0", "out of range"]),
        Mistake(name: "a negative expected version", expected: .exactly(-3), says: ["version -3", "out of range"]),
        Mistake(name: "an expected version beyond all", expected: .exactly(Int.max), says: ["out of range"]),
    ]

    @Test(arguments: mistakes)
    func isRefused(mistake: Mistake) async throws {
        // One connection, so that the refusal and what follows it share it.
        try await withStore(connections: 1) { store in
            try await store.append([NewEvent(type: "before", data: .emptyObject)], to: StreamID("good", "1"))
            try await Self.expectRefusal(saying: mistake.says) {
                try await store.append([mistake.event], to: mistake.stream, expecting: mistake.expected)
            }
            try await Self.expectOnlyGoodEventsAndAUsableConnection(store)
        }
    }

    @Test func isFoundAmongTheEventsOfARequest() async throws {
        try await withStore(connections: 1) { store in
            let events = [
                NewEvent(type: "first", data: .emptyObject), NewEvent(type: "second", data: JSON(#"{"a":"\u0000"}"#)),
                NewEvent(type: "third", data: .emptyObject),
            ]
            try await Self.expectRefusal(saying: ["event_data of event 2 (second)", #"\u0000"#]) {
                try await store.append(events, to: StreamID("bad", "1"))
            }
            let longName = [NewEvent(type: "first", data: .emptyObject), NewEvent(type: Self.long, data: .emptyObject)]
            try await Self.expectRefusal(saying: ["event_type of event 2", "256 characters"]) {
                try await store.append(longName, to: StreamID("bad", "1"))
            }
            try await Self.expectOnlyGoodEventsAndAUsableConnection(store)
        }
    }

    @Test func includesARequestWithoutEventsAndOneWithTooMany() async throws {
        try await withStore(connections: 1) { store in
            try await Self.expectRefusal(saying: ["no events"]) {
                try await store.append([], to: StreamID("bad", "1"))
            }
            let tooMany = (0...10_000).map { _ in NewEvent(type: "t", data: .emptyObject) }
            try await Self.expectRefusal(saying: ["10001 events", "the limit is 10000"]) {
                try await store.append(tooMany, to: StreamID("bad", "1"))
            }
            try await Self.expectOnlyGoodEventsAndAUsableConnection(store)
        }
    }

    /// A version the stream is not at is no bad input but a conflict: an outcome to act on.
    @Test func isNotTheSameAsAWrongExpectedVersion() async throws {
        try await withStore(connections: 1) { store in
            let stream = StreamID("bad", "1")
            let error = await #expect(throws: EventStoreError.self) {
                try await store.append([NewEvent(type: "t", data: .emptyObject)], to: stream, expecting: .exactly(7))
            }
            guard case .versionConflict(let conflicts) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(conflicts == [VersionConflict(stream: stream, expected: .exactly(7), actual: 0)])
            try await Self.expectOnlyGoodEventsAndAUsableConnection(store)
        }
    }

    /// Within the caller's transaction a refusal undoes what its savepoint holds, and the transaction goes on.
    @Test func canBeContainedInASavepoint() async throws {
        try await withStore(connections: 1) { store in
            try await store.withTransaction { transaction in
                try await store.append(
                    [NewEvent(type: "one", data: .emptyObject)],
                    to: StreamID("good", "1"),
                    in: transaction
                )
                try await Self.expectRefusal(saying: ["invalid input syntax for type json"]) {
                    try await transaction.withSavepoint { inner in
                        try await store.append(
                            [NewEvent(type: "t", data: JSON("{"))],
                            to: StreamID("good", "1"),
                            in: inner
                        )
                    }
                }
                try await store.append(
                    [NewEvent(type: "two", data: .emptyObject)],
                    to: StreamID("good", "1"),
                    in: transaction
                )
            }
            #expect(try await LogAudit(of: store.client).log.map(\.type) == ["one", "two"])
        }
    }

    // MARK: - What a refusal is

    static func expectRefusal(saying parts: [String], _ append: () async throws -> some Sendable) async throws {
        do {
            _ = try await append()
            Issue.record("it was stored")
        } catch let error as EventStoreError {
            guard case .invalidEvent = error else {
                Issue.record("\(error)")
                return
            }
            let sentence = error.description
            for part in parts { #expect(sentence.contains(part), "“\(sentence)” does not say “\(part)”") }
            #expect(sentence.utf8.count < 1000, "a sentence, not the document: \(sentence.prefix(200))")
        }
    }

    private static func expectOnlyGoodEventsAndAUsableConnection(_ store: EventStore) async throws {
        let good = StreamID("good", "1")
        try await store.append([NewEvent(type: "after", data: .emptyObject)], to: good)
        let audit = try await LogAudit(of: store.client)
        #expect(audit.log.allSatisfy { $0.stream == good }, "nothing of it is stored")
        #expect(audit.brokenStreams.isEmpty)
        let streams = try await store.client.query("SELECT count(*) FROM millrace.streams")
        #expect(try streams[0].decode(Int64.self, at: 0) == 1)
        #expect(store.client.statistics.open == 1)
    }
}
