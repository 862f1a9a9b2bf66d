import Foundation
import Testing

@testable import Millrace

@Suite("The checker in Python", .enabled(if: PythonChecker.python != nil, PythonChecker.missing))
struct IndependentCheckerTests {
    private var dice = Dice(seed: Dice.seed)

    @Test("accepts proofs of events, and none with a byte changed")
    mutating func events() async throws {
        var sample = try LedgerSample(count: 300, dice: &dice)
        let keys = ["\(try LedgerSigningKey.generate(name: "other").verifierKey)", "\(sample.key.verifierKey)"]
        for size in [1, 2, 257, Int.random(in: 3...300, using: &dice), Int.random(in: 3...300, using: &dice)] {
            let index = Int.random(in: 0..<size, using: &dice)
            let file = try sample.proof(index, in: size).description
            let position = sample.events[index].position
            #expect(
                try await PythonChecker.checkProof(file, keys: keys)
                    == .right("event \(position) is leaf \(index) of shop.example/ledger at \(size) events")
            )
            try await refusesChanges(of: file, keys: keys)
        }
    }

    @Test("accepts proofs that a ledger went on, and none with a byte changed")
    mutating func continuations() async throws {
        var sample = try LedgerSample(count: 300, dice: &dice)
        let keys = ["\(sample.key.verifierKey)"]
        let random = Int.random(in: 2...299, using: &dice)
        for (earlier, later) in [(0, 5), (5, 5), (1, 2), (128, 300), (random, 300), (random, random + 1)] {
            let file = try sample.consistency(from: earlier, to: later).description
            #expect(
                try await PythonChecker.checkProof(file, keys: keys)
                    == .right("shop.example/ledger at \(later) events continues what it was at \(earlier)")
            )
            try await refusesChanges(of: file, keys: keys)
        }
    }

    private mutating func refusesChanges(of file: String, keys: [String]) async throws {
        let bytes = Array(file.utf8)
        for place in [bytes.count - 1] + (0..<4).map({ _ in Int.random(in: 0..<bytes.count, using: &dice) }) {
            var changed = bytes
            changed[place] ^= 1 << UInt8.random(in: 0..<7, using: &dice)
            let text = String(decoding: changed, as: UTF8.self)
            let verdict = try await PythonChecker.checkProof(text, keys: keys)
            if case .right = verdict { Issue.record("byte \(place) changed, seed \(Dice.seed): \(text)") }
        }
    }

    @Test("refuses who did not sign, and what is said of others")
    mutating func strangers() async throws {
        var sample = try LedgerSample(count: 7, dice: &dice)
        let stranger = "\(try LedgerSigningKey.generate(name: sample.key.name).verifierKey)"
        let file = try sample.proof(3, in: 7).description
        let unsigned = "WRONG: no key that was given has signed the checkpoint of shop.example/ledger"
        #expect(try await PythonChecker.checkProof(file, keys: [stranger]) == .wrong(unsigned))
        #expect(try await PythonChecker.checkProof(file, keys: []) == .wrong(unsigned))
        let path = try sample.tree.answer(InclusionProof.plan(index: 3, size: 7))
        let other = LedgerEventProof(
            entry: sample.events[2].bytes,
            index: 3,
            path: try InclusionProof(index: 3, size: 7, from: path).path,
            checkpoint: try sample.checkpoint(7)
        )
        #expect(
            try await PythonChecker.checkProof(other.description, keys: ["\(sample.key.verifierKey)"])
                == .wrong("WRONG: the event is not in the tree")
        )
        guard case .noSuchFile = try await PythonChecker.checkProof("no proof\n\nat all\n", keys: [stranger]) else {
            Issue.record("it is a file of no kind")
            return
        }
    }

    @Test("recomputes the chains of streams")
    mutating func chains() async throws {
        let events = try LedgerSample(count: 30, dice: &dice).events
        let streams = Set(events.map(\.stream)).count
        let lines = events.map { ChainLine($0) }
        #expect(
            try await PythonChecker.checkChain(ChainLine.text(lines))
                == .right("30 events of \(streams) streams, 30 of them linked")
        )
        let changed = "current_hash does not follow from the event"
        let cut = "previous_hash is not the current_hash before it"
        let changes: [(column: String, value: Any, reason: String)] = [
            ("event_data", "{} ", changed), ("event_type", "other", changed), ("id", 5_000, changed),
            ("occurred_at", 0, changed), ("payload", "00", changed), ("metadata", "[]", changed),
            ("current_hash", String(repeating: "0", count: 64), changed),
            ("previous_hash", String(repeating: "1", count: 64), cut), ("previous_hash", NSNull(), cut),
        ]
        for (column, value, reason) in changes {
            let place = Int.random(in: 0..<lines.count, using: &dice)
            var changed = lines
            changed[place].columns[column] = value
            let (version, stream) = (events[place].version, events[place].stream)
            #expect(
                try await PythonChecker.checkChain(ChainLine.text(changed))
                    == .wrong("WRONG: \(stream), version \(version): \(reason)"),
                "seed \(Dice.seed)"
            )
        }
    }

    @Test("finds events that are missing, and chains that end; streams that are not chained are good")
    mutating func gaps() async throws {
        let events = try LedgerSample(count: 30, dice: &dice).events
        let stream = events[0].stream
        let lines = events.filter { $0.stream == stream }.map { ChainLine($0) }
        try #require(lines.count > 3)
        var missing = lines
        missing.remove(at: 1)
        #expect(
            try await PythonChecker.checkChain(ChainLine.text(missing))
                == .wrong("WRONG: \(stream), version 3: the version before it is 1")
        )
        var unlinked = lines
        for column in ["previous_hash", "current_hash"] { unlinked[2].columns[column] = NSNull() }
        #expect(
            try await PythonChecker.checkChain(ChainLine.text(unlinked))
                == .wrong("WRONG: \(stream), version 3: it has no hashes, and the version before it has")
        )
        for index in unlinked.indices {
            for column in ["previous_hash", "current_hash"] { unlinked[index].columns[column] = NSNull() }
        }
        #expect(
            try await PythonChecker.checkChain(ChainLine.text(unlinked))
                == .right("\(lines.count) events of 1 streams, 0 of them linked")
        )
        guard case .noSuchFile = try await PythonChecker.checkChain("{}\n") else {
            Issue.record("a line without columns is none")
            return
        }
    }
}

/// A line as the query in docs/ledger-format.md gives it: the names are those of the columns.
private struct ChainLine {
    var columns: [String: Any]

    init(_ event: LedgerEntry) {
        func microseconds(_ date: Date) -> Int64 {
            Int64(((date.timeIntervalSinceReferenceDate + 366 * 86_400) * 1_000_000).rounded())
        }
        columns = [
            "id": event.position.rawValue, "event_id": event.id.uuidString.lowercased(), "event_type": event.type,
            "aggregate_type": event.stream.aggregateType, "aggregate_id": event.stream.aggregateID,
            "version": event.version, "event_data": String(decoding: event.data.utf8, as: UTF8.self),
            "metadata": event.metadata.map { String(decoding: $0.utf8, as: UTF8.self) } ?? NSNull(),
            "occurred_at": microseconds(event.occurredAt), "created_at": microseconds(event.createdAt),
            "payload": event.payload.map { LedgerText.hex($0) } ?? NSNull(),
            "content_type": event.contentType ?? NSNull(), "previous_hash": event.previousHash?.hex ?? NSNull(),
            "current_hash": event.currentHash?.hex ?? NSNull(),
        ]
    }

    static func text(_ lines: [ChainLine]) throws -> String {
        try lines.map { line in
            String(decoding: try JSONSerialization.data(withJSONObject: line.columns), as: UTF8.self) + "\n"
        }.joined()
    }
}
