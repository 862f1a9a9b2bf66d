import Foundation
import MillracePostgres
import Synchronization
import Testing

@testable import Millrace

@Suite("verifying a ledger", .timeLimit(.minutes(15)))
struct LedgerVerificationTests {
    private static let streams = 4

    @Test("nothing is found while others append and seal")
    func concurrent() async throws {
        try await withLedger { store, key in
            try await store.ledger.declare(["account"])
            try await store.appendSome(100, to: "a")
            try await store.ledger.seal(with: key)
            let verifying = Counter()
            verifying.increment()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for stream in 0..<Self.streams {
                    group.addTask {
                        while verifying.value > 0 {
                            let event = NewEvent(type: "account.changed", data: JSON("{}"))
                            try await store.append(
                                Array(repeating: event, count: 1).map { event in
                                    NewEvent(type: event.type, data: event.data)
                                },
                                to: StreamID(stream % 2 == 0 ? "account" : "item", "s\(stream)")
                            )
                        }
                    }
                }
                group.addTask { while verifying.value > 0 { try await store.ledger.seal(with: key) } }
                group.addTask {
                    defer { verifying.increment(by: -1) }
                    for _ in 0..<10 {
                        let note = try await store.ledger.checkpoint()
                        let report = try await LedgerVerification(
                            store,
                            trusting: LedgerKeyring([key.verifierKey]),
                            published: [note]
                        ).run()
                        #expect(report.findings.kept == [] && report.events >= 100)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("it goes on from every state that it gave, and refuses that of another ledger")
    func resumes() async throws {
        let states = Mutex<[LedgerVerificationState]>([])
        try await withLedger { store, key in
            try await store.ledger.declare(["item"])
            for round in 0..<40 {
                try await store.appendSome(500, to: "\(round)")
                try await store.ledger.seal(with: key)
            }
            for table in try await Self.partitions(store) {
                try await store.client.script(
                    "ALTER TABLE \(table) DISABLE TRIGGER USER; UPDATE \(table) SET event_data = '[]' WHERE id IN (7, 5000, 19000)"
                )
            }
            var verification = LedgerVerification(store, trusting: nil)
            verification.stateInterval = .zero
            let whole = try await verification.run { _ in
            } keep: { state in
                states.withLock { $0.append(state) }
            }
            #expect(whole.findings.count(of: .changedEvent) == 3 && whole.findings.count(of: .brokenChain) == 3)
            let kept = states.withLock { $0 }
            #expect(kept.count > 3)
            for state in kept {
                let stored = try JSONDecoder().decode(LedgerVerificationState.self, from: JSONEncoder().encode(state))
                let report = try await verification.run(from: stored)
                #expect(Set(report.findings.kept) == Set(whole.findings.kept) && report.events == whole.events)
            }
        }
        let foreign = try #require(states.withLock { $0.last })
        try await withLedger { store, key in
            try await store.ledger.seal(with: key)
            await #expect(throws: LedgerVerificationError.self) {
                try await LedgerVerification(store, trusting: nil).run(from: foreign)
            }
        }
    }

    private static func partitions(_ store: EventStore) async throws -> [String] {
        try await store.client.query(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'millrace.events'::regclass"
        )
        .map { try $0.decode(String.self, at: 0) }
    }

    @Test("since a position or a time: from the block on that holds it")
    func since() async throws {
        try await withLedger { store, key in
            for round in 0..<20 {
                try await store.appendSome(300, to: "\(round)")
                try await store.ledger.seal(with: key)
            }
            let note = try await store.ledger.checkpoint(3)
            let report = try await LedgerVerification(
                store,
                trusting: nil,
                published: [note],
                since: .position(Position(3_000))
            ).run()
            #expect(report.isClean && report.firstBlock > 5 && report.lastBlock == 20 && report.trustsDatabase)
            let late = LedgerVerification(store, trusting: nil, since: .time(Date.now.addingTimeInterval(3600)))
            await #expect(throws: LedgerVerificationError.nothingSince) { try await late.run() }
            let all = try await LedgerVerification(
                store,
                trusting: nil,
                since: .time(Date.now.addingTimeInterval(-3600))
            ).run()
            #expect(all.isClean && all.firstBlock == 1 && all.blocks == 20)
        }
    }

    @Test("an old copy of the database is found by a checkpoint that was published later")
    func oldCopy() async throws {
        try await withLedger { store, key in
            try await store.appendSome(300, to: "a")
            try await store.ledger.seal(with: key)
            let name = try await store.client.query("SELECT current_database()::text").single().decode(
                String.self,
                at: 0
            )
            let copy = "\(name)_copy"
            try await withEmptyDatabase { elsewhere in
                try await withClient(PostgresConfiguration(elsewhere)) { other in
                    try await other.query(
                        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1",
                        [.text(name)]
                    )
                    try await other.script("CREATE DATABASE \(copy) TEMPLATE \(name)")
                    let address = elsewhere.replacing(
                        try await other.query("SELECT current_database()::text").single().decode(String.self, at: 0),
                        with: copy
                    )
                    try await Self.compare(address, store, key)
                    try await other.script("DROP DATABASE \(copy) WITH (FORCE)")
                }
            }
        }
    }

    private static func compare(_ copy: String, _ store: EventStore, _ key: LedgerSigningKey) async throws {
        let before = try await store.ledger.checkpoint()
        try await store.appendSome(100, to: "b")
        try await store.ledger.seal(with: key)
        let after = try await store.ledger.checkpoint()
        try await withClient(PostgresConfiguration(copy)) { client in
            let keyring = try LedgerKeyring([key.verifierKey])
            let old = EventStore(client)
            let held = try await LedgerVerification(old, trusting: keyring, published: [before]).run()
            #expect(held.isClean)
            let report = try await LedgerVerification(old, trusting: keyring, published: [before, after]).run()
            #expect(
                report.findings.kept.map(\.code) == [.forkedCheckpoint]
                    && report.findings.kept.first?.parts == ["tree_size"]
            )
        }
    }
}
