import Foundation
import Millrace
import Synchronization
import Testing

@testable import MillraceCLI

@Suite("A contest")
struct ContestTests {
    private final class Taken: Sendable {
        let names = Mutex<[String]>([])
    }

    /// A contestant whose turns store so many events in a second, one after the other.
    private func contestant(
        _ name: String,
        _ rates: [Int],
        _ taken: Taken,
        isProgram: Bool = false
    ) -> Contest.Contestant {
        let turns = Mutex(rates)
        let box = TurnBox(turns: turns)
        return Contest.Contestant(name: name, kind: .millrace, isProgram: isProgram) { _ in
            taken.names.withLock { $0.append(name) }
            let events = box.next()
            return Turn(events: events, seconds: 1, appended: events)
        }
    }

    private final class TurnBox: Sendable {
        private let turns: Mutex<[Int]>
        init(turns: consuming Mutex<[Int]>) { self.turns = turns }
        func next() -> Int { turns.withLock { $0.removeFirst() } }
    }

    @Test("is held in turns, and compares round with round")
    func turns() async throws {
        let taken = Taken()
        let tally = BenchTally()
        let contest = Contest(
            scenario: .append,
            title: "a contest",
            contestants: [
                contestant("slow", [7, 100, 200, 400], taken),
                contestant("fast", [9, 300, 400, 400], taken),
                contestant("a program", [50, 100, 200], taken, isProgram: true),
            ]
        )
        let result = try await contest.held(rounds: 3, turn: .seconds(1), warmUp: .seconds(1), tally: tally) { _, _ in }
        let rounds = Array(repeating: ["slow", "fast", "a program"], count: 3).flatMap(\.self)
        #expect(taken.names.withLock { $0 } == ["slow", "fast"] + rounds)
        #expect(result.entries[0].ratio == nil)
        #expect(result.entries[0].rate == 200)
        // 3, 2 and 1 times, although the median rate is only twice as high.
        #expect(result.entries[1].ratio == ContestResult.Ratio(median: 2, lowest: 1, highest: 3))
        #expect(result.entries[2].ratio == ContestResult.Ratio(median: 0.5, lowest: 0.5, highest: 0.5))
        // The turns that warm up are in the tables too.
        #expect(tally.appended == 7 + 700 + 9 + 1100 + 350)
        #expect(result.entries[1].rounds.map(\.events) == [300, 400, 400])
    }

    @Test("of latencies compares the medians of the calls")
    func latencies() async throws {
        func contestant(_ name: String, _ microseconds: UInt64) -> Contest.Contestant {
            Contest.Contestant(name: name, kind: .bare) { _ in
                Turn(events: 1, seconds: 1, latencies: Latencies(nanoseconds: [1000, microseconds * 1000, 9_000_000]))
            }
        }
        let contest = Contest(
            scenario: .callers,
            title: "a contest",
            measure: .latency,
            contestants: [contestant("first", 100), contestant("second", 250)]
        )
        let result = try await contest.held(rounds: 2, turn: .seconds(1), warmUp: .zero, tally: BenchTally()) { _, _ in
        }
        let ratio = try #require(result.entries[1].ratio)
        #expect(abs(ratio.median - 2.5) < 0.01)
        #expect(result.entries[1].latency?.count == 6)
    }

    @Test("latencies keep three digits, and no percentile beyond what was recorded but the maximum")
    func summary() throws {
        let summary = try #require(Latencies(nanoseconds: (1...1000).map { $0 * 1000 }).summary)
        #expect(summary.count == 1000)
        #expect(abs(summary.p50 - 500) < 1)
        #expect(abs(summary.p99 - 990) < 1.5)
        #expect(abs(summary.max - 1000) < 1.5)
        #expect(summary.curve.map(\.percentile).contains(99.9))
        #expect(!summary.curve.map(\.percentile).contains(99.99))
        #expect(summary.curve.last?.percentile == 100)
        #expect(Latencies().summary == nil)
    }
}

@Suite("The data of the bench")
struct BenchOrdersTests {
    @Test("is the same for the same seed, and about 200 bytes with 60 of metadata")
    func deterministic() {
        let (one, other) = (BenchOrders(seed: 7), BenchOrders(seed: 7))
        var (data, metadata) = (0, 0)
        for number in 0..<BenchOrders.poolSize {
            #expect(one[number].data == other[number].data)
            data += one[number].data.utf8.count
            metadata += one[number].metadata.utf8.count
        }
        #expect(one[0].data != BenchOrders(seed: 8)[0].data)
        #expect((190...210).contains(data / BenchOrders.poolSize), "\(data / BenchOrders.poolSize)")
        #expect((55...65).contains(metadata / BenchOrders.poolSize), "\(metadata / BenchOrders.poolSize)")
    }

    @Test("gives every stream its versions without a gap", arguments: StreamShape.allCases)
    func versions(shape: StreamShape) throws {
        var events = BenchEvents(BenchOrders(seed: 1), shape, writer: "w")
        var versions: [String: Int] = [:]
        for _ in 0..<120 {
            let next = events.next()
            versions[next.stream.aggregateID, default: 0] += 1
            #expect(next.version == versions[next.stream.aggregateID])
            let line = try #require(try JSONSerialization.jsonObject(with: Data(next.line)) as? [String: Any])
            #expect(line["aggregate_id"] as? String == next.stream.aggregateID)
        }
        switch shape {
        case .sixEach: #expect(versions.count == 20)
        case .few: #expect(versions.count == 10)
        case .new: #expect(versions.count == 120)
        }
    }

    @Test("an id carries its event's number", arguments: [0, 1, 255, 65_536, 2_000_000])
    func ids(number: Int) {
        #expect(EventTimes.number(of: EventTimes.id(of: number, UUID())) == number)
    }
}

@Suite("What pgbench says")
struct PgbenchTests {
    @Test("is read: transactions, rate, latencies")
    func parsed() throws {
        var turn = try Pgbench.turn(
            """
            transaction type: script.sql
            number of clients: 64
            number of transactions actually processed: 20500
            number of failed transactions: 0 (0.000%)
            latency average = 6.2 ms
            initial connection time = 103.1 ms
            tps = 10250.000000 (without initial connection time)
            """
        )
        #expect(turn.events == 20_500)
        #expect(turn.seconds == 2)
        Pgbench.record(Data("0 1 4000 0 1764000000 1\n1 1 5000 0 1764000000 2\n\n".utf8), into: &turn.latencies)
        #expect(abs(turn.latencies.at(100).microseconds - 5000) < 5)
        #expect(throws: Failure.self) { try Pgbench.turn("pgbench: error: connection failed") }
    }

    @Test("an address is that of the other database, in each of libpq's forms")
    func addresses() {
        #expect(BenchServer.address("", database: "d") == "dbname='d'")
        #expect(BenchServer.address("host=h dbname=x", database: "d") == "host=h dbname=x dbname='d'")
        #expect(BenchServer.address("postgresql://h/x", database: "d") == "postgresql://h/x?dbname=d")
        #expect(BenchServer.address("postgres://h/x?a=b", database: "d") == "postgres://h/x?a=b&dbname=d")
    }
}
