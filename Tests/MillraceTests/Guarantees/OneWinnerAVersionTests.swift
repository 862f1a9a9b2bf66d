import Foundation
import Millrace
import MillracePostgres
import Testing

/// Of all who append with the same expected version exactly one wins, and the others learn what stopped them.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct OneWinnerAVersionTests {
    private static let racers = 16

    private enum Outcome: Sendable {
        case won(racer: Int, version: Int)
        case lost(actual: Int)
    }

    private static func attempt(
        _ store: EventStore,
        _ stream: StreamID,
        _ expected: ExpectedVersion,
        by racer: Int
    ) async throws -> Outcome {
        do {
            let event = NewEvent(type: "raced", data: JSON(#"{"racer":\#(racer)}"#))
            let result = try await store.append([event], to: stream, expecting: expected)
            return .won(racer: racer, version: try #require(result.version(of: stream)))
        } catch EventStoreError.versionConflict(let conflicts) {
            let conflict = try #require(conflicts.first)
            #expect(conflicts.count == 1)
            #expect(conflict.stream == stream)
            #expect(conflict.expected == expected)
            return .lost(actual: conflict.actual)
        }
    }

    @Test func whenSixteenExpectTheSameVersion() async throws {
        let rounds = 60
        try await withStore(connections: Self.racers) { store in
            let stream = StreamID("race", "same version")
            var winners: [Int] = []
            for round in 1...rounds {
                let expected: ExpectedVersion = round == 1 ? .noStream : .exactly(round - 1)
                let outcomes = try await withThrowingTaskGroup(of: Outcome.self) { group in
                    for racer in 0..<Self.racers {
                        group.addTask { try await Self.attempt(store, stream, expected, by: racer) }
                    }
                    return try await group.reduce(into: [Outcome]()) { $0.append($1) }
                }
                var lost = 0
                for outcome in outcomes {
                    switch outcome {
                    case .won(let racer, let version):
                        winners.append(racer)
                        #expect(version == round)
                    case .lost(let actual):
                        lost += 1
                        #expect(actual == round, "a loser is told the version that the winner made")
                    }
                }
                #expect(winners.count == round, "exactly one wins version \(round)")
                #expect(lost == Self.racers - 1)
            }
            var stored: [RecordedEvent] = []
            for try await event in store.readStream(stream) { stored.append(event) }
            #expect(stored.map(\.version) == Array(1...rounds))
            #expect(try stored.map { try $0.decode(Raced.self).racer } == winners)
            print(
                "OneWinnerAVersion: \(rounds) rounds of \(Self.racers), \(winners.count) won,",
                "\(rounds * Self.racers - winners.count) lost, \(Set(winners).count) different winners"
            )
        }
    }

    private struct Raced: Decodable { let racer: Int }
    private struct Counted: Codable { let before: Int; let after: Int }

    /// Read, decide, append with the version that was read; on a conflict read again: no update is lost.
    @Test func whenSixteenCountInTheSameStream() async throws {
        let each = 20
        try await withStore(connections: Self.racers) { store in
            let stream = StreamID("counter", "shared")
            let conflicts = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.racers {
                    group.addTask {
                        for _ in 0..<each {
                            let lost = try await Self.countOnce(store, stream)
                            conflicts.increment(by: lost)
                        }
                    }
                }
                try await group.waitForAll()
            }
            var count = 0
            var version = 0
            for try await event in store.readStream(stream) {
                let counted = try event.decode(Counted.self)
                #expect(counted.before == count, "version \(event.version) was decided on an older state")
                count = counted.after
                version += 1
                #expect(event.version == version)
            }
            #expect(count == Self.racers * each)
            print("OneWinnerAVersion: counted to \(count) with \(conflicts.value) conflicts")
        }
    }

    /// Returns how many conflicts it took.
    private static func countOnce(_ store: EventStore, _ stream: StreamID) async throws -> Int {
        var conflicts = 0
        while true {
            var last: RecordedEvent?
            for try await event in store.readStream(stream, direction: .backwards) {
                last = event
                break
            }
            let before = try last?.decode(Counted.self).after ?? 0
            let data = try JSON(encoding: Counted(before: before, after: before + 1))
            do {
                try await store.append(
                    [NewEvent(type: "counted", data: data)],
                    to: stream,
                    expecting: last.map { .exactly($0.version) } ?? .noStream
                )
                return conflicts
            } catch EventStoreError.versionConflict {
                conflicts += 1
            }
        }
    }

    @Test func andAllConflictsOfARequestAreReportedAndNothingOfItIsStored() async throws {
        try await withStore { store in
            let event = { NewEvent(type: "e", data: .emptyObject) }
            let (ahead, missing, present, right, new) = (
                StreamID("s", "ahead"), StreamID("s", "missing"), StreamID("s", "present"), StreamID("s", "right"),
                StreamID("s", "new")
            )
            try await store.append([event(), event(), event()], to: ahead)
            try await store.append([event()], to: present)
            try await store.append([event()], to: right)
            let before = try await Self.everything(store.client)

            var request = AppendRequest()
            request.append([event()], to: right, expecting: .exactly(1))
            request.append([event()], to: ahead, expecting: .exactly(2))
            request.append([event()], to: present, expecting: .noStream)
            request.append([event()], to: new)
            request.require(.streamExists, of: missing)
            do {
                try await store.append(request)
                Issue.record("the request was stored")
            } catch EventStoreError.versionConflict(let conflicts) {
                let expected: Set = [
                    VersionConflict(stream: ahead, expected: .exactly(2), actual: 3),
                    VersionConflict(stream: present, expected: .noStream, actual: 1),
                    VersionConflict(stream: missing, expected: .streamExists, actual: 0),
                ]
                #expect(Set(conflicts) == expected)
                #expect(conflicts.count == expected.count)
                let sentence = EventStoreError.versionConflict(conflicts).description
                for conflict in conflicts { #expect(sentence.contains("\(conflict.stream)")) }
                print("OneWinnerAVersion: \(sentence)")
            }
            #expect(try await Self.everything(store.client) == before)
        }
    }

    @Test func fromSQLToo() async throws {
        let calls = 16
        try await withStore(connections: calls) { store in
            let won = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<calls {
                    group.addTask {
                        do {
                            try await store.client.query(
                                "SELECT millrace.publish_event('e', '1', 'sql', '{}', p_expected_version => 0)"
                            )
                            won.increment()
                        } catch let error as PostgresError {
                            #expect(error.sqlState == "MR010", "\(error)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(won.value == 1)
            #expect(try await LogAudit(of: store.client).log.count == 1)
        }
    }

    /// The streams and how many events there are: what a refused request must leave as it was.
    private static func everything(_ client: PostgresClient) async throws -> [String] {
        let streams = try await client.query(
            """
            SELECT aggregate_type || '/' || aggregate_id || ' ' || version FROM millrace.streams
            UNION ALL SELECT 'events ' || count(*) FROM millrace.events
            ORDER BY 1
            """
        )
        return try streams.map { try $0.decode(String.self, at: 0) }
    }
}
