import Foundation
import Logging
import Millrace
import MillracePostgres
import Testing

/// A snapshot saves reading, and changes nothing else.
@Suite("snapshots")
struct SnapshotTests {
    private static let kept = "SELECT format('%s %s', shape, version) FROM millrace.snapshots ORDER BY shape"

    private func deposit(_ count: Int, to accounts: Aggregate<Account>, _ id: String = "a") async throws {
        for _ in 0..<count { try await accounts.execute(.deposit(cents: 1, reference: "ü"), on: id) }
    }

    @Test("is taken whenever so many events have come, and the next load reads what follows it")
    func everyEvents() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(5, shape: 1))
            try await deposit(4, to: accounts)
            #expect(try await store.client.texts(Self.kept) == [])
            try await deposit(1, to: accounts)
            #expect(try await store.client.texts(Self.kept) == ["1 5"])
            try await deposit(4, to: accounts)
            #expect(try await store.client.texts(Self.kept) == ["1 5"])
            // What a snapshot says is believed: so one can see that it was used.
            try await store.client.run(
                "UPDATE millrace.snapshots SET state = '{\"balance\": 1000, \"events\": 5, \"references\": []}'"
            )
            #expect(try await accounts.load("a").state.balance == 1_004)
            #expect(try await store.aggregate(Account()).load("a").state.balance == 9)
        }
    }

    @Test("is taken by a load that had much to read")
    func byALoad() async throws {
        try await withStore { store in
            try await deposit(6, to: store.aggregate(Account()))
            let accounts = store.aggregate(Account(), snapshots: .every(5, shape: 1))
            let past = try await accounts.load("a", asOf: .version(5))
            #expect(past.version == 5)
            #expect(try await store.client.texts(Self.kept) == [])
            try await store.withTransaction { _ = try await accounts.load("a", in: $0) }
            #expect(try await store.client.texts(Self.kept) == [])
            let now = try await accounts.load("a")
            #expect(try await store.client.texts(Self.kept) == ["1 6"])
            #expect(try await accounts.load("a").state == now.state)
        }
    }

    @Test("is taken where the last one is too old")
    func afterATime() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .after(.seconds(3_600), shape: 1))
            try await deposit(3, to: accounts)
            #expect(try await store.client.texts(Self.kept) == ["1 1"])
            try await store.client.run("UPDATE millrace.snapshots SET taken_at = now() - interval '2 hours'")
            _ = try await accounts.execute(.nothing, on: "a")
            #expect(try await store.client.texts(Self.kept) == ["1 3"])
        }
    }

    @Test("of another shape is not used, and lower shapes go when a new one is taken")
    func shapes() async throws {
        try await withStore { store in
            let old = store.aggregate(Account(), snapshots: .every(1, shape: 1))
            let new = store.aggregate(Account(), snapshots: .every(3, shape: 2))
            try await deposit(1, to: old)
            try await store.client.run("UPDATE millrace.snapshots SET state = '{\"no\": \"state\"}'")
            #expect(try await new.load("a").state.balance == 1)
            #expect(try await store.client.texts(Self.kept) == ["1 1"])
            try await deposit(2, to: new)
            #expect(try await store.client.texts(Self.kept) == ["2 3"])
            // A release that is not replaced yet goes on with its own.
            try await deposit(1, to: old)
            #expect(try await store.client.texts(Self.kept) == ["1 4", "2 3"])
            #expect(try await new.load("a").state.balance == 4)
        }
    }

    @Test("that cannot be decoded is passed over, and replaced")
    func broken() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(3, shape: 1))
            try await deposit(3, to: accounts)
            for garbage in ["null", "[]", "{\"balance\": \"much\"}", "7"] {
                try await store.client.run("UPDATE millrace.snapshots SET state = '\(garbage)'")
                #expect(try await accounts.load("a").state.balance == 3)
                let state = try await store.client.text("SELECT state::text FROM millrace.snapshots")
                #expect(try #require(state).contains(#""balance":3"#))
            }
        }
    }

    @Test("that cannot be stored takes nothing with it")
    func unstorable() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(1, shape: 1))
            try await store.client.script(
                "ALTER TABLE millrace.snapshots ADD CONSTRAINT full_up CHECK (version > 1000) NOT VALID"
            )
            try await deposit(2, to: accounts)
            try await store.withTransaction { transaction in
                try await accounts.execute(.deposit(cents: 1), on: "a", in: transaction)
                try await accounts.execute(.deposit(cents: 1), on: "a", in: transaction)
            }
            #expect(try await accounts.load("a").state.balance == 4)
            #expect(try await store.client.texts(Self.kept) == [])
        }
    }

    @Test("that somebody else's transaction holds is not waited for")
    func held() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(1, shape: 1))
            try await deposit(1, to: accounts)
            try await store.client.withTransaction { transaction in
                try await transaction.run("UPDATE millrace.snapshots SET taken_at = now()")
                try await within(.seconds(60), "commands go on") { [self] in try await deposit(1, to: accounts) }
            }
            #expect(try await store.client.texts(Self.kept) == ["1 1"])
            #expect(try await accounts.load("a").state.balance == 2)
        }
    }

    @Test("as of a version, the newest one up to it is used; as of a time, none")
    func asOf() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(4, shape: 1))
            try await deposit(4, to: accounts)
            try await deposit(2, to: store.aggregate(Account()))
            try await store.client.run(
                "UPDATE millrace.snapshots SET state = '{\"balance\": 1000, \"events\": 4, \"references\": []}'"
            )
            #expect(try await accounts.load("a", asOf: .version(3)).state.balance == 3)
            #expect(try await accounts.load("a", asOf: .version(5)).state.balance == 1_001)
            #expect(try await accounts.load("a", asOf: .time(.now.addingTimeInterval(3_600))).state.balance == 6)
        }
    }

    @Test("are discarded for an aggregate, or for a type")
    func discarded() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(1, shape: 1))
            for id in ["a", "b", "c"] { try await deposit(1, to: accounts, id) }
            #expect(try await store.discardSnapshots(of: "account", id: "a") == 1)
            #expect(try await store.discardSnapshots(of: "other") == 0)
            #expect(try await store.discardSnapshots(of: "account") == 2)
            #expect(try await accounts.load("a").state.balance == 1)
        }
    }

    @Test("a state comes back to the bit, whatever JSON thinks of it")
    func exact() async throws {
        try await withStore { store in
            let meters = store.aggregate(Meter(), snapshots: .every(1, shape: 1))
            let plain = store.aggregate(Meter())
            for command in Meter.extremes {
                try await meters.execute(command, on: "m")
                let folded = try await plain.load("m").state
                let kept = try await meters.load("m").state
                #expect(kept.value.bitPattern == folded.value.bitPattern)
                #expect(kept == folded || folded.value.isNaN)
            }
        }
    }

    @Test("with and without, at every version, states are equal")
    func equal() async throws {
        try await withStore { store in
            let seed = Dice.seed
            print("snapshots are equal: MILLRACE_TEST_SEED=\(seed)")
            var dice = Dice(seed: seed)
            let plain = store.aggregate(Account())
            let kept = store.aggregate(Account(), snapshots: .every(7, shape: 1))
            for round in 0..<60 {
                let id = "a\(Int.random(in: 0..<3, using: &dice))"
                let at = Date(timeIntervalSinceReferenceDate: Double.random(in: 0..<1e9, using: &dice))
                let command: Account.Command =
                    Bool.random(using: &dice)
                    ? .open(owner: "\(round)", at: at) : .deposit(cents: round, reference: "\(round)")
                let done = try await (Bool.random(using: &dice) ? plain : kept).execute(command, on: id)
                let version = Int.random(in: 0...done.version, using: &dice)
                #expect(try await kept.load(id).state == done.state)
                #expect(
                    try await kept.load(id, asOf: .version(version)).state
                        == plain.load(id, asOf: .version(version)).state
                )
            }
        }
    }
}

private struct Measured: TypedEvent {
    static let eventType = "measured"
    let bits: String
}

private enum MeterEvent: DomainEvent {
    case measured(Measured)

    static let types = EventTypes<MeterEvent>().on(Measured.self, MeterEvent.measured)
    var payload: any TypedEvent {
        switch self {
        case .measured(let event): event
        }
    }
}

/// Keeps the last number it was given, by its bits.
private struct Meter: Decider {
    struct State: Codable, Equatable, Sendable {
        var value = 0.0
        var date = Date(timeIntervalSinceReferenceDate: 0)
    }

    static let aggregateType = "meter"
    static let extremes = [
        0.1, .pi, .leastNonzeroMagnitude, .greatestFiniteMagnitude, -0.0, 1e23, .infinity, -.infinity,
        123_456_789.123_456_7,
    ].map { String($0.bitPattern) }

    var initialState: State { State() }
    func decide(_ command: String, _ state: State) -> [MeterEvent] { [.measured(Measured(bits: command))] }
    func evolve(_ state: inout State, _ event: MeterEvent) {
        switch event {
        case .measured(let event):
            state.value = UInt64(event.bits).map(Double.init(bitPattern:)) ?? 0
            state.date = state.value.isFinite ? Date(timeIntervalSinceReferenceDate: state.value) : state.date
        }
    }
}
