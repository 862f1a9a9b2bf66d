import Foundation
import MillracePostgres
import Testing

@testable import Millrace

/// Whatever becomes of sealers, what is sealed can be recomputed from the events, without a gap, and sealing goes on.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct SealedNeverBreaksTests {
    private static let kills = ProcessInfo.processInfo.environment["MILLRACE_SOAK_SECONDS"] == nil ? 12 : 200

    private static func options(_ key: LedgerSigningKey) -> WorkerProcess.Options {
        WorkerProcess.Options(lease: .seconds(1), beat: .seconds(1), lanes: 1, seals: key.secretText)
    }

    @Test func whileItsSealerIsKilled() async throws {
        try await withLedger { store, key in
            var dice = Dice(seed: Dice.seed)
            let connection = store.client.configuration.connectionString
            let stop = Task { [dice] in
                var dice = dice
                var round = 0
                while !Task.isCancelled {
                    round += 1
                    try await store.appendSome(Int.random(in: 1...2_000, using: &dice), to: "\(round)")
                }
            }
            for kill in 1...Self.kills {
                let sealer = try await WorkerProcess.start("sealer \(kill)", on: connection, Self.options(key))
                let sealed = try await Self.blocks(store)
                if kill % 2 == 0 { try await eventually("it seals") { try await Self.blocks(store) > sealed } }
                // The point at which it dies is to be any.
                try await Task.sleep(for: .microseconds(Int.random(in: 0...150_000, using: &dice)))
                try await sealer.kill()
            }
            stop.cancel()
            _ = await stop.result
            try await store.ledger.seal(with: key)
            let audit = try await LedgerAudit(of: store)
            print("SealedNeverBreaks, \(Self.kills) kills: \(audit) (seed \(Dice.seed))")
            #expect(audit.isClean && audit.unsealed == 0, "\(audit) (seed \(Dice.seed))")
        }
    }

    private static func blocks(_ store: EventStore) async throws -> Int {
        try await store.ledger.status(countingTo: 1)?.blocks ?? 0
    }

    @Test func whileSeveralSeal() async throws {
        try await withLedger(connections: 20) { store, key in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for publisher in 1...4 {
                    group.addTask {
                        for round in 1...20 { try await store.appendSome(50, to: "\(publisher)-\(round)") }
                    }
                }
                for _ in 1...3 {
                    group.addTask { for _ in 1...10 { try await store.ledger.seal(with: key) } }
                }
                try await group.waitForAll()
            }
            try await store.ledger.seal(with: key)
            let audit = try await LedgerAudit(of: store)
            #expect(audit.isClean && audit.unsealed == 0 && audit.events == 4_001, "\(audit)")
        }
    }

    @Test func whileAPublisherHoldsTheHorizonBack() async throws {
        try await withLedger { store, key in
            try await store.appendSome(3, to: "before")
            try await store.client.withTransaction { slow in
                try await store.append(
                    [NewEvent(type: "slow", data: .emptyObject)],
                    to: StreamID("item", "slow"),
                    in: slow
                )
                try await store.appendSome(3, to: "after")
                #expect(try await store.ledger.seal(with: key).events == 4)
                #expect(try await store.ledger.seal(with: key).events == 0)
            }
            #expect(try await store.ledger.seal(with: key).events == 4)
            let audit = try await LedgerAudit(of: store)
            #expect(audit.isClean && audit.unsealed == 0, "\(audit)")
        }
    }
}
