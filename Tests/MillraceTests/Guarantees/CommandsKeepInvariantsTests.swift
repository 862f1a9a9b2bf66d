import Foundation
import Logging
import Millrace
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

/// The promise: whatever a decider guards holds of the stored events, however many commands come at once and wherever from; a command
/// takes effect once or not at all; and those that compete come through, or say why not.
@Suite("commands keep invariants", .timeLimit(.minutes(15)))
struct CommandsKeepInvariantsTests {
    /// What became of many commands.
    private struct Toll: Sendable {
        var deposited = 0
        var withdrawn = 0
        var refused = 0
        var givenUp = 0
    }

    @Test(
        "a balance is never below zero: random commands from two processes, with and without snapshots, which are deleted meanwhile"
    )
    func neverBelowZero() async throws {
        let seed = Dice.seed
        print("a balance is never below zero: MILLRACE_TEST_SEED=\(seed)")
        try await withTestDatabase { client in
            let configuration = client.configuration
            try await withStores(configuration, configuration) { first, second in
                let toll = try await withThrowingTaskGroup(of: Toll.self) { group in
                    for task in 0..<12 {
                        let store = task.isMultiple(of: 2) ? first : second
                        group.addTask { try await Self.play(Dice(seed: seed &+ UInt64(task)), in: store, rounds: 40) }
                    }
                    return try await group.reduce(into: Toll()) { sum, toll in
                        sum.deposited += toll.deposited
                        sum.withdrawn += toll.withdrawn
                        sum.refused += toll.refused
                        sum.givenUp += toll.givenUp
                    }
                }
                print("\(toll)")
                #expect(toll.refused > 0 && toll.withdrawn > 0, "it was not put to the test")
                var (sum, events) = (0, 0)
                for id in Self.ids {
                    let stored = try await balance(of: id, in: first)
                    #expect(stored.lowest == 0)
                    let plain = try await first.aggregate(Account()).load(id)
                    #expect(plain.state.balance == stored.balance)
                    #expect(plain.version == stored.events)
                    let kept = try await Self.accounts(first).load(id)
                    #expect(kept.state == plain.state)
                    sum += stored.balance
                    events += stored.events
                }
                #expect(sum == toll.deposited - toll.withdrawn, "a command took effect twice, or was lost")
                #expect(events > 0)
            }
        }
    }

    private static let ids = ["a", "b", "c"]

    private static func accounts(_ store: EventStore) -> Aggregate<Account> {
        store.aggregate(Account(), snapshots: .every(3, shape: 1))
    }

    private static func play(_ seeded: Dice, in store: EventStore, rounds: Int) async throws -> Toll {
        var (dice, toll) = (seeded, Toll())
        let (plain, kept) = (store.aggregate(Account()), accounts(store))
        for _ in 0..<rounds {
            let accounts = Bool.random(using: &dice) ? plain : kept
            let (from, to) = (ids.randomElement(using: &dice) ?? "a", ids.randomElement(using: &dice) ?? "b")
            let cents = Int.random(in: 1...20, using: &dice)
            do {
                switch Int.random(in: 0..<10, using: &dice) {
                case 0..<3:
                    try await accounts.execute(.deposit(cents: cents), on: to)
                    toll.deposited += cents
                case 3..<6:
                    try await accounts.execute(.withdraw(cents: cents), on: from)
                    toll.withdrawn += cents
                case 6..<8:
                    try await store.decide { decision in
                        try await decision.execute(.withdraw(cents: cents), on: from, of: accounts)
                        try await decision.execute(.deposit(cents: cents), on: to, of: accounts)
                    }
                case 8:
                    try await store.withTransaction { transaction in
                        _ = try await accounts.execute(.withdraw(cents: cents), on: from, in: transaction)
                    }
                    toll.withdrawn += cents
                default: try await store.discardSnapshots(of: "account", id: to)
                }
            } catch is Overdrawn {
                toll.refused += 1
            } catch AggregateError.conflict {
                toll.givenUp += 1
            }
        }
        return toll
    }

    @Test(
        "64 commands at once on one aggregate all come through, within the attempts and beside other work",
        arguments: [1, 4, 10]
    )
    func hot(connections: Int) async throws {
        try await withStore(connections: connections) { store in
            let accounts = store.aggregate(Account())
            try await accounts.execute(.deposit(cents: 32), on: "hot")
            let together = Rendezvous(parties: 64)
            let outcomes = try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<64 {
                    group.addTask {
                        await together.arrive()
                        do {
                            return try await accounts.execute(.withdraw(cents: 1), on: "hot").attempts
                        } catch is Overdrawn {
                            return nil
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let attempts = outcomes.compactMap(\.self)
            print("64 at once on \(connections) connection(s): attempts at the most \(attempts.max() ?? 0)")
            #expect(attempts.count == 32, "as many as the balance allows, and the others were refused by the decider")
            #expect(try #require(attempts.max()) <= CommandRetry().attempts)
            let stored = try await balance(of: "hot", in: store)
            #expect(stored.balance == 0 && stored.lowest == 0)
        }
    }

    @Test("a command that may not be decided again says which stream was contended")
    func givenUp() async throws {
        try await withStore { store in
            let other = store.aggregate(Account())
            let deciding = Counter()
            var retry = CommandRetry()
            retry.attempts = 3
            retry.attemptsWithoutLocks = 3
            let error = await #expect(throws: AggregateError.self) {
                try await store.decide(retry: retry) { decision in
                    deciding.increment()
                    try await decision.execute(.deposit(cents: 1), on: "a", of: other)
                    try await other.execute(.deposit(cents: 1), on: "a")
                }
            }
            guard case .conflict([StreamID("account", "a")], 3, .versionConflict(let last)) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            #expect(last.map(\.actual) == [3])
            #expect(deciding.value == 3)
            #expect(
                "\(String(describing: error))".contains("given up after 3 attempt(s) on account/a, nothing was stored")
            )
        }
    }

    @Test("several streams are decided atomically although one of them is contended")
    func severalStreams() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            try await accounts.execute(.deposit(cents: 1_000), on: "hot")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<16 {
                    group.addTask {
                        for _ in 0..<3 {
                            try await store.decide { decision in
                                // Half of them the other way round.
                                let steps: [(Account.Command, String)] = [
                                    (.withdraw(cents: 1), "hot"), (.deposit(cents: 1), "cold\(task)"),
                                ]
                                for (command, id) in task.isMultiple(of: 2) ? steps : steps.reversed() {
                                    try await decision.execute(command, on: id, of: accounts)
                                }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await accounts.load("hot").state.balance == 1_000 - 48)
            for task in 0..<16 { #expect(try await accounts.load("cold\(task)").state.balance == 3) }
        }
    }

    @Test("a COMMIT that arrives late, and whose answer nobody hears, is not decided again")
    func lateCommit() async throws {
        try await throughProxy { proxy, direct, store in
            var retry = CommandRetry()
            retry.attemptsWithoutLocks = 0
            let deciding = Counter()
            let accounts = store.aggregate(Account(isDeciding: { deciding.increment() }), retry: retry)
            try await accounts.execute(.deposit(cents: 1), on: "a")
            let hold = CuttingProxy.Hold(milliseconds: 60_000)
            proxy.set(.lateCommit(hold))
            async let done = accounts.execute(.deposit(cents: 1), on: "a")
            try await eventually("the COMMIT is on its way") { hold.hasBegun }
            // The same events are sent again, and wait for the transaction that is not over.
            try await eventually("the events are sent again, and wait") {
                try await direct.client.text(
                    "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                ) != "0"
            }
            hold.letGo()
            let executed = try await done
            #expect(executed.version == 2)
            #expect(executed.stored?.wasRepeated == true)
            #expect(deciding.value == 2)
            #expect(try await balance(of: "a", in: direct).events == 2)
        }
    }

    @Test(
        "connections are cut at any moment: each command takes effect once, or says that it did not, or how to find out",
        arguments: [0, 2]
    )
    func cuts(attemptsWithoutLocks: Int) async throws {
        let seed = Dice.seed
        print("connections are cut: MILLRACE_TEST_SEED=\(seed)")
        try await throughProxy { proxy, direct, store in
            let dice = Mutex(Dice(seed: seed))
            let isArmed = Atomic(true)
            var retry = CommandRetry()
            retry.attemptsWithoutLocks = attemptsWithoutLocks
            let cutting = Account {
                guard isArmed.load(ordering: .relaxed) else { return }
                switch dice.withLock({ Int.random(in: 0..<4, using: &$0) }) {
                case 0: proxy.set(.halfway)
                case 1: proxy.set(.lateCommit(CuttingProxy.Hold(milliseconds: 20)))
                default: break
                }
            }
            let accounts = store.aggregate(cutting, snapshots: .every(4, shape: 1), retry: retry)
            var failures = 0
            for number in 0..<40 {
                let reference = "r\(number)"
                var isDone = false
                while !isDone {
                    do {
                        try await accounts.execute(.deposit(cents: 1, reference: reference), on: "a")
                        isDone = true
                    } catch AggregateError.outcomeUnknown(let request) {
                        isArmed.store(false, ordering: .relaxed)
                        try await direct.append(request)
                        isArmed.store(true, ordering: .relaxed)
                        isDone = true
                    } catch EventStoreError.postgres {
                        // Nothing was stored, the error says: so it may be executed again.
                        failures += 1
                    }
                }
            }
            print("connections are cut: \(failures) commands had to be given again")
            let state = try await direct.aggregate(Account()).load("a").state
            #expect(state.references == (0..<40).map { "r\($0)" })
        }
    }

    private func throughProxy(
        _ body: @escaping (_ proxy: CuttingProxy, _ direct: EventStore, _ store: EventStore) async throws -> Void
    ) async throws {
        try await withTestDatabase { client in
            let socket = try await client.text(
                """
                SELECT format(
                    '%s/.s.PGSQL.%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port')
                )
                """
            )
            try await CuttingProxy.run(inFrontOf: try #require(socket)) { proxy in
                var configuration = client.configuration
                configuration.connectionString = proxy.connectionString(for: configuration.connectionString)
                try await withStores(configuration, client.configuration) { store, direct in
                    try await body(proxy, direct, store)
                }
            }
        }
    }

    @Test(
        "commands that wait for a stream leave connections to others, and one that is cancelled in the line leaves it"
    )
    func cancelled() async throws {
        try await withStore(connections: 4) { store in
            var retry = CommandRetry()
            retry.attemptsWithoutLocks = 0
            retry.lockWait = .seconds(100)
            let accounts = store.aggregate(Account(), retry: retry)
            try await store.withTransaction { transaction in
                try await store.lockStreams([StreamID("account", "a")], in: transaction)
                let waiting = (0..<5).map { _ in Task { try await accounts.execute(.deposit(cents: 1), on: "a") } }
                try await eventually("one waits for the stream") {
                    try await store.client.text(
                        "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                    ) == "1"
                }
                // Connections are left, though more commands wait than there are.
                _ = try await within(.seconds(60), "others go on") {
                    try await store.execute(.deposit(cents: 1), on: "b", of: Account())
                }
                for task in waiting { task.cancel() }
                for task in waiting { await #expect(throws: (any Error).self) { try await task.value } }
            }
            #expect(try await accounts.execute(.deposit(cents: 1), on: "a").version == 1)
        }
    }
}
