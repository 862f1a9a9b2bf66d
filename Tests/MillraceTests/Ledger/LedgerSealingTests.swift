import Foundation
import MillracePostgres
import Testing

@testable import Millrace

@Suite("sealing")
struct LedgerSealingTests {
    @Test("blocks follow each other, and a tree that was kept is the one that is loaded")
    func follows() async throws {
        try await withLedger { store, key in
            let sealer = LedgerSealer(store, key: key)
            var tail: SealedTail?
            for count in [1, 255, 300, 1_500, 3] {
                try await store.appendSome(count, to: "\(count)")
                let round = try await sealer.round(after: tail, with: key)
                let sealed = try #require(round.tail)
                let tables = LedgerTables(session: store.client)
                #expect(try await tables.frontier(size: sealed.frontier.size) == sealed.frontier)
                tail = sealed
                // One that knows nothing goes on in the same way.
                if count == 300 { tail = nil }
            }
            #expect(try await sealer.round(after: tail, with: key).tail == nil)
            let audit = try await LedgerAudit(of: store)
            #expect(audit.isClean && audit.blocks == 5 && audit.unsealed == 0, "\(audit)")
        }
    }

    @Test("a full block is followed by the next at once")
    func fills() async throws {
        try await withLedger { store, key in
            for round in 0..<7 { try await store.appendSome(10_000, to: "\(round)") }
            let sealed = try await store.ledger.seal(with: key)
            #expect(sealed.blocks == 2 && sealed.events == 70_001)
            let audit = try await LedgerAudit(of: store)
            #expect(audit.isClean && audit.unsealed == 0, "\(audit)")
        }
    }

    @Test("a rotated key signs what comes, the old one nothing, and what it signed stays good")
    func rotates() async throws {
        try await withLedger { store, old in
            try await store.appendSome(5, to: "a")
            try await store.ledger.seal(with: old)
            let new = try LedgerSigningKey.generate(name: old.name)
            #expect(try await store.ledger.rotate(from: old, to: new.verifierKey, reason: "a test") == 2)
            await #expect(throws: LedgerSealingError.keyIsNotNewest(newest: "\(new.verifierKey)")) {
                try await store.ledger.seal(with: old)
            }
            #expect(try await store.ledger.seal(with: new).events == 1)
            let audit = try await LedgerAudit(of: store)
            #expect(audit.isClean && audit.blocks == 2, "\(audit)")
            let kept = try LedgerKeyring(try await store.ledger.keyringText())
            #expect(kept.keys == [old.verifierKey, new.verifierKey])
            let foreign = try LedgerSigningKey.generate(name: old.name)
            await #expect(throws: LedgerSealingError.self) {
                try await store.ledger.rotate(from: foreign, to: old.verifierKey)
            }
        }
    }

    @Test("random events are proven with the ledger's key, and not with another")
    func proves() async throws {
        try await withLedger { store, key in
            for round in 1...5 {
                try await store.appendSome(round * 100, to: "\(round)")
                try await store.ledger.seal(with: key)
            }
            let keyring = try LedgerKeyring([key.verifierKey])
            let other = try LedgerKeyring([try LedgerSigningKey.generate(name: key.name).verifierKey])
            var dice = Dice(seed: Dice.seed)
            for await event in try await Self.some(20, of: store, &dice) {
                let proof = try await store.ledger.prove(.id(event.id))
                let proven = try LedgerEventProof("\(proof)").verify(with: keyring)
                #expect(proven.event.position == event.position && proven.event.data.text == event.data.text)
                #expect(throws: LedgerProofError.self) { try proof.verify(with: other) }
            }
            for earlier in 1...5 {
                for later in earlier...5 {
                    let proof = try await store.ledger.proveConsistency(fromBlock: earlier, toBlock: later)
                    #expect(try proof.verify(with: keyring).later.block == later)
                }
            }
        }
    }

    private static func some(_ count: Int, of store: EventStore, _ dice: inout Dice) async throws -> AsyncStream<
        RecordedEvent
    > {
        var all: [RecordedEvent] = []
        for try await event in store.readAll() { all.append(event) }
        let chosen = (0..<count).map { _ in all[Int.random(in: 0..<all.count, using: &dice)] }
        return AsyncStream { continuation in
            for event in chosen { continuation.yield(event) }
            continuation.finish()
        }
    }

    @Test("an event that is not sealed, and one that is not there, are told apart")
    func missing() async throws {
        try await withLedger { store, key in
            await #expect { try await store.ledger.prove(.position(Position(1))) } throws: {
                if case .notSealed(let position, let interval) = $0 as? LedgerError {
                    return position.rawValue == 1 && interval == .milliseconds(100)
                }
                return false
            }
            await #expect { try await store.ledger.prove(.id(UUID())) } throws: {
                if case .noEvent = $0 as? LedgerError { return true }
                return false
            }
        }
    }
}

@Suite("publishing checkpoints")
struct LedgerPublishingTests {
    private static func withFile(_ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "checkpoints-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private static func notes(_ path: String) throws -> [SignedNote] {
        try LedgerCheckpointFile.notes(in: Array(FileManager.default.contents(atPath: path) ?? Data()))
    }

    @Test("a file keeps each of them, once, also behind a write that was interrupted")
    func file() async throws {
        try await withLedger { store, key in
            try await Self.withFile { path in
                let publisher = LedgerPublisher(store, targets: [.file(path)])
                for round in 1...3 {
                    try await store.appendSome(3, to: "\(round)")
                    try await store.ledger.seal(with: key)
                    try await publisher.publishAll()
                    try await publisher.publishAll()
                    #expect(try Self.notes(path).count == round)
                    let torn = try #require(FileHandle(forWritingAtPath: path))
                    try torn.seekToEnd()
                    try torn.write(contentsOf: Data("\(key.name)\n12".utf8))
                    try torn.close()
                }
                let newest = try await store.ledger.checkpoint()
                #expect(try Self.notes(path).last == newest)
                #expect(try await store.ledger.publications().map(\.block) == [3])
            }
        }
    }

    @Test("another ledger of the same name and key is refused, and nothing is told")
    func fork() async throws {
        try await withLedger { first, key in
            try await first.appendSome(3, to: "a")
            try await first.ledger.seal(with: key)
            try await Self.withFile { path in
                try await LedgerPublisher(first, targets: [.file(path)]).publishAll()
                try await withStore { second in
                    try await second.ledger.initialise(key: key.verifierKey)
                    // Shorter, as long, longer: none continues the other.
                    for _ in 1...3 {
                        try await second.ledger.seal(with: key)
                        await #expect {
                            try await LedgerPublisher(second, targets: [.file(path)]).publishAll()
                        } throws: {
                            if case .forked = $0 as? LedgerError { return true }
                            return false
                        }
                        try await second.appendSome(3, to: UUID().uuidString)
                    }
                    #expect(try Self.notes(path).count == 1)
                    let found = try #require(try await second.ledger.publications().first)
                    #expect(found.block == nil && found.error?.hasPrefix("FORKED") == true)
                    await #expect(throws: LedgerError.self) {
                        try await second.ledger.proveConsistency(from: try Self.notes(path)[0])
                    }
                }
            }
        }
    }

    @Test("another database keeps them in a table")
    func database() async throws {
        try await withLedger { store, key in
            try await withEmptyDatabase { other in
                for round in 1...2 {
                    try await store.appendSome(2, to: "\(round)")
                    try await store.ledger.seal(with: key)
                    try await LedgerPublisher(store, targets: [.database(other, name: "other")]).publishAll()
                }
                try await withClient(PostgresConfiguration(other)) { client in
                    let kept = try await client.texts("SELECT checkpoint FROM millrace_checkpoints ORDER BY tree_size")
                    let expected = [try await store.ledger.checkpoint(1), try await store.ledger.checkpoint(2)]
                    #expect(kept == expected.map { "\($0)" })
                }
            }
        }
    }
}
