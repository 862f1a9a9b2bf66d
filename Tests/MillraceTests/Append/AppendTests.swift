import Foundation
import Millrace
import MillracePostgres
import Testing

/// What an append stores, answers and repeats.
@Suite(.timeLimit(.minutes(15)))
struct AppendTests {
    private struct OrderPlaced: TypedEvent, Equatable {
        static let eventType = "order.placed"
        let customer: String
        let cents: Int
        let placed: Date
        let lines: [String]
        let note: String?
    }

    private static func event(_ type: String = "t") -> NewEvent { NewEvent(type: type, data: .emptyObject) }

    private static func read(_ store: EventStore, _ stream: StreamID) async throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        for try await event in store.readStream(stream) { events.append(event) }
        return events
    }

    @Test func aTypedEventComesBackAsItWas() async throws {
        try await withStore { store in
            let stream = StreamID("order", "42")
            // Milliseconds are what JSON dates carry.
            let order = OrderPlaced(
                customer: "Zoë 🧵 \"quoted\" \\ \u{2028}",
                cents: Int.max,
                placed: Date(timeIntervalSince1970: 1_700_000_000.125),
                lines: ["a", ""],
                note: nil
            )
            let metadata = EventMetadata(
                correlationID: "c-1",
                causationID: "k-1",
                traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                own: ["tenant": "blue"]
            )
            let result = try await store.append(order, to: stream, expecting: .noStream, metadata: metadata)
            let stored = try #require(try await Self.read(store, stream).first)
            #expect(try stored.decode(OrderPlaced.self) == order)
            #expect(try stored.decodeMetadata() == metadata)
            #expect(stored.type == "order.placed")
            #expect(stored.version == 1)
            #expect(stored.stream == stream)
            #expect(result.events.map(\.position) == [stored.position])
            #expect(result.events.map(\.id) == [stored.id])
            #expect(
                abs(stored.createdAt.timeIntervalSince(stored.occurredAt)) < 0.001,
                "it happened when it was stored"
            )
        }
    }

    @Test func anOccurrenceInThePastIsKeptToTheMicrosecond() async throws {
        try await withStore { store in
            let happened = Date(timeIntervalSince1970: 1_234_567_890.123_456)
            let event = NewEvent(type: "t", data: JSON("[1,2.50,null]"), occurredAt: happened)
            try await store.append([event], to: StreamID("a", "1"))
            let stored = try #require(try await Self.read(store, StreamID("a", "1")).first)
            #expect(abs(stored.occurredAt.timeIntervalSince(happened)) < 0.000_001)
            #expect(stored.createdAt > happened)
            #expect(stored.data.text == "[1, 2.50, null]", "jsonb keeps a number's digits")
            #expect(stored.metadata == nil)
        }
    }

    @Test func anOpaquePayloadComesBackByteForByte() async throws {
        try await withStore { store in
            let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let payload = OpaquePayload(bytes: bytes, contentType: "application/protobuf")
            let empty = OpaquePayload(bytes: [], contentType: "application/octet-stream")
            let stream = StreamID("a", "1")
            try await store.append(
                [NewEvent(type: "p", payload: payload), Self.event("json"), NewEvent(type: "p", payload: empty)],
                to: stream
            )
            let stored = try await Self.read(store, stream)
            #expect(stored.map(\.payload) == [payload, nil, empty])
            #expect(stored.map(\.data) == [.null, .emptyObject, .null])
        }
    }

    @Test func namesMayBeAnyTextUpToTheirLimit() async throws {
        try await withStore { store in
            let odd = [
                "'; DROP SCHEMA millrace; --", #"{"a"},\"\\,NULL"#, " ", "NULL", "ß/🧵",
                String(repeating: "界", count: 255),
            ]
            for name in odd {
                let stream = StreamID(name, name)
                try await store.append([NewEvent(type: name, data: .emptyObject)], to: stream, expecting: .noStream)
                let stored = try await Self.read(store, stream)
                #expect(stored.map(\.type) == [name])
                #expect(stored.map(\.stream) == [stream])
            }
        }
    }

    @Test func aRepeatedRequestIsAnsweredWithTheOriginalPlaces() async throws {
        try await withStore { store in
            var request = AppendRequest([Self.event(), Self.event()], to: StreamID("a", "1"), expecting: .noStream)
            request.append([Self.event()], to: StreamID("b", "1"))
            let first = try await store.append(request)
            #expect(!first.wasRepeated)
            try await store.append([Self.event()], to: StreamID("a", "1"))
            // Its expectation was true when it was stored.
            let second = try await store.append(request)
            #expect(second.wasRepeated)
            #expect(second.events == first.events)
            #expect(first.events.map(\.version) == [1, 2, 1])
            #expect(try await LogAudit(of: store.client).log.count == 4)
        }
    }

    @Test func aRequestThatRepeatsOnlySomeIdsIsRefusedWhole() async throws {
        try await withStore { store in
            let known = Self.event()
            try await store.append([known], to: StreamID("a", "1"))
            let requests = [
                AppendRequest([known, Self.event()], to: StreamID("a", "1")),
                AppendRequest([known], to: StreamID("another", "1")),
            ]
            for request in requests {
                let error = await #expect(throws: EventStoreError.self) { try await store.append(request) }
                guard case .partlyRepeated = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
            }
            #expect(try await LogAudit(of: store.client).log.count == 1)
        }
    }

    @Test func theSameIdsAppendedAtOnceAreStoredOnce() async throws {
        let callers = 12
        try await withStore(connections: callers) { store in
            let request = AppendRequest([Self.event(), Self.event()], to: StreamID("a", "1"))
            let results = try await withThrowingTaskGroup(of: AppendResult.self) { group in
                for _ in 0..<callers { group.addTask { try await store.append(request) } }
                return try await group.reduce(into: [AppendResult]()) { $0.append($1) }
            }
            #expect(results.count { !$0.wasRepeated } == 1)
            #expect(Set(results.map(\.events)).count == 1)
            #expect(try await LogAudit(of: store.client).log.count == 2)
        }
    }

    @Test func inATransactionItIsStoredWithEverythingElseOrNotAtAll() async throws {
        try await withStore { store in
            try await store.client.script("CREATE TABLE public.orders (id int NOT NULL)")
            let counts: PostgresStatement =
                "SELECT (SELECT count(*) FROM public.orders), (SELECT count(*) FROM millrace.events)"
            func counted() async throws -> [Int64] {
                let row = try await store.client.query(counts)[0]
                return [try row.decode(Int64.self, at: 0), try row.decode(Int64.self, at: 1)]
            }
            await #expect(throws: CancellationError.self) {
                try await store.withTransaction { transaction in
                    try await transaction.query("INSERT INTO public.orders (id) VALUES (1)")
                    try await store.append([Self.event()], to: StreamID("order", "1"), in: transaction)
                    throw CancellationError()
                }
            }
            #expect(try await counted() == [0, 0])
            let streams = try await store.client.query("SELECT count(*) FROM millrace.streams")
            #expect(try streams[0].decode(Int64.self, at: 0) == 0)

            let version = try await store.withTransaction { transaction in
                try await transaction.query("INSERT INTO public.orders (id) VALUES (1)")
                try await store.append(
                    [Self.event()],
                    to: StreamID("order", "1"),
                    expecting: .noStream,
                    in: transaction
                )
                let second = try await store.append(
                    [Self.event()],
                    to: StreamID("order", "1"),
                    expecting: .exactly(1),
                    in: transaction
                )
                return second.version(of: StreamID("order", "1"))
            }
            #expect(version == 2, "the version that a rolled-back transaction took is given again")
            #expect(try await counted() == [1, 2])
        }
    }

    /// A conflict is an outcome and no error to PostgreSQL: the caller's transaction can go on.
    @Test func aConflictLeavesTheCallersTransactionUsable() async throws {
        try await withStore { store in
            try await store.withTransaction { transaction in
                try await store.append([Self.event()], to: StreamID("a", "1"), in: transaction)
                await #expect(throws: EventStoreError.self) {
                    try await store.append(
                        [Self.event()],
                        to: StreamID("a", "1"),
                        expecting: .noStream,
                        in: transaction
                    )
                }
                try await store.append([Self.event()], to: StreamID("a", "1"), expecting: .exactly(1), in: transaction)
            }
            #expect(try await Self.read(store, StreamID("a", "1")).map(\.version) == [1, 2])
        }
    }

    @Test func requestsOverTheSameStreamsInAnyOrderNeverDeadlock() async throws {
        let callers = 8
        let rounds = 40
        try await withStore(connections: callers) { store in
            let streams = (0..<6).map { StreamID("shared", "\($0)") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<callers {
                    group.addTask {
                        var dice = Dice(seed: Dice.seed &+ UInt64(caller))
                        for _ in 0..<rounds {
                            var request = AppendRequest()
                            for stream in streams.shuffled(using: &dice) { request.append([Self.event()], to: stream) }
                            try await store.append(request)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let audit = try await LogAudit(of: store.client)
            #expect(audit.brokenStreams.isEmpty)
            #expect(audit.log.count == callers * rounds * streams.count)
            let deadlocks = try await store.client.query(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            #expect(try deadlocks[0].decode(Int64.self, at: 0) == 0)
            print("Append: \(callers * rounds) requests over the same \(streams.count) streams, no deadlock")
        }
    }

    /// Several calls in one transaction may lock in any order, unless they lock all streams first.
    @Test func transactionsThatLockTheirStreamsFirstNeverDeadlock() async throws {
        let callers = 8
        let rounds = 25
        try await withStore(connections: callers) { store in
            let streams = (0..<4).map { StreamID("shared", "\($0)") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<callers {
                    group.addTask {
                        var dice = Dice(seed: Dice.seed &+ UInt64(caller))
                        for _ in 0..<rounds {
                            let order = streams.shuffled(using: &dice)
                            try await store.withTransaction(retry: .none) { transaction in
                                try await store.lockStreams(order, in: transaction)
                                for stream in order {
                                    try await store.append([Self.event()], to: stream, in: transaction)
                                }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let audit = try await LogAudit(of: store.client)
            #expect(audit.brokenStreams.isEmpty)
            #expect(audit.log.count == callers * rounds * streams.count)
        }
    }

    @Test func aTransactionThatDeadlocksIsRunAgain() async throws {
        try await withStore { store in
            let (a, b) = (StreamID("lock", "a"), StreamID("lock", "b"))
            let attempts = Counter()
            // Each holds its first stream before either asks for its second.
            let bothHoldOne = Rendezvous(parties: 2)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (first, second) in [(a, b), (b, a)] {
                    group.addTask {
                        try await store.withTransaction { transaction in
                            attempts.increment()
                            try await store.append([Self.event()], to: first, in: transaction)
                            await bothHoldOne.arrive()
                            try await store.append([Self.event()], to: second, in: transaction)
                        }
                    }
                }
                try await group.waitForAll()
            }
            // The victim may meet the survivor once more; that both run once would be no deadlock.
            #expect(attempts.value >= 3, "at least one of the two is a victim")
            #expect(try await LogAudit(of: store.client).log.count == 4)
        }
    }
}
