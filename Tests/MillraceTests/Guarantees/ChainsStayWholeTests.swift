import Foundation
import Millrace
import MillracePostgres
import Testing

/// Whatever stores an event of a ledgered type, and whatever goes on beside it, its hash follows the one before it in its stream. Appends
/// in batches and alone, conflicts, retries, publish_event in transactions that roll back, and imports, on the same streams, while their
/// types are declared.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ChainsStayWholeTests {
    private static let types = ["account", "order", "free"]
    private static let streams = 6
    private static let rounds = 120

    private static func stream(_ dice: inout Dice) -> StreamID {
        StreamID(types.randomElement(using: &dice)!, "\(Int.random(in: 0..<streams, using: &dice))")
    }

    private static func event(_ dice: inout Dice) -> NewEvent {
        NewEvent(
            type: "written",
            data: JSON(
                ["null", "{}", #"{"ü": 1.50, "a": [1, null, "\\n"]}"#, "\"text\""].randomElement(using: &dice)!
            ),
            metadata: Bool.random(using: &dice) ? JSON(#"{"by": "test"}"#) : nil
        )
    }

    @Test func besideEverything() async throws {
        try await withStore(connections: 24) { store in
            try await store.client.run(
                "SELECT millrace.init_ledger('\(TestVerifierKey.origin)', '\(TestVerifierKey.text())')"
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<4 {
                    group.addTask { try await Self.append(store, seed: Dice.seed &+ UInt64(number)) }
                    group.addTask { try await Self.publish(store, seed: Dice.seed &+ 10 &+ UInt64(number)) }
                }
                group.addTask {
                    var dice = Dice(seed: Dice.seed &+ 20)
                    let events = (0..<2_000).map { _ in ImportEvent(Self.event(&dice), to: Self.stream(&dice)) }
                    let input = AsyncStream { continuation in
                        for event in events { continuation.yield(event) }
                        continuation.finish()
                    }
                    let summary = try await store.importEvents(
                        from: input,
                        named: "legacy",
                        limits: ImportLimits(events: 100)
                    )
                    #expect(summary.stored == 2_000)
                }
                group.addTask {
                    // In the middle of it: when some events are there.
                    for (type, events) in [("account", 300), ("order", 900)] {
                        try await eventually("\(events) events are there") {
                            try await store.client.text("SELECT (count(*) >= \(events))::text FROM millrace.events")
                                == "true"
                        }
                        try await store.client.run("SELECT millrace.declare_ledgered('{\(type)}')")
                    }
                }
                try await group.waitForAll()
            }
            let audit = try await ChainAudit(of: store.client)
            #expect(audit.isClean && audit.chained > 1_000, "\(audit), seed \(Dice.seed)")
            let free =
                "SELECT count(*)::text FROM millrace.events WHERE aggregate_type = 'free' AND current_hash IS NOT NULL"
            #expect(try await store.client.text(free) == "0")
            #expect(try await LogAudit(of: store.client).brokenStreams.isEmpty)
        }
    }

    /// Requests of several events over several streams, with expectations that hold or do not, some sent twice.
    private static func append(_ store: EventStore, seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        for _ in 0..<rounds {
            let events = (0..<Int.random(in: 1...5, using: &dice)).map { _ in event(&dice) }
            let expected: ExpectedVersion =
                Bool.random(using: &dice) ? .any : .exactly(Int.random(in: 1...40, using: &dice))
            let stream = stream(&dice)
            for _ in 0..<(Int.random(in: 0..<5, using: &dice) == 0 ? 2 : 1) {
                do {
                    _ = try await store.append(events, to: stream, expecting: expected)
                } catch EventStoreError.versionConflict {
                    continue
                }
            }
        }
    }

    /// In transactions of a caller: several at a time, with savepoints and rollbacks.
    private static func publish(_ store: EventStore, seed: UInt64) async throws {
        var dice = Dice(seed: seed)
        struct GivenUp: Error {}
        for _ in 0..<rounds {
            let streams = (0..<Int.random(in: 1...3, using: &dice)).map { _ in stream(&dice) }
            let (isGivenUp, data) = (Int.random(in: 0..<4, using: &dice) == 0, event(&dice).data)
            do {
                try await store.withTransaction { transaction in
                    try await store.lockStreams(streams, in: transaction)
                    for (number, stream) in streams.enumerated() {
                        try await transaction.run("SAVEPOINT s")
                        try await transaction.query(
                            "SELECT millrace.publish_event('published', $1, $2, $3::jsonb)",
                            [
                                .text(stream.aggregateID), .text(stream.aggregateType),
                                .text(String(decoding: data.utf8, as: UTF8.self)),
                            ]
                        )
                        if number == 1 { try await transaction.run("ROLLBACK TO s") }
                    }
                    if isGivenUp { throw GivenUp() }
                }
            } catch is GivenUp {
                continue
            }
        }
    }
}
