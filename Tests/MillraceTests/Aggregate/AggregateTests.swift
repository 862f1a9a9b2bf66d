import Foundation
import Logging
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// Commands on aggregates, one at a time. Races are in Guarantees/CommandsKeepInvariants.
@Suite("aggregates")
struct AggregateTests {
    private func versions(_ id: String, in store: EventStore) async throws -> Int {
        var count = 0
        for try await _ in store.readStream(StreamID("account", id)) { count += 1 }
        return count
    }

    @Test("a command's events are stored behind those it was decided on, and the state is theirs")
    func execute() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            let opened = try await accounts.execute(.open(owner: "Ada"), on: "a")
            #expect(opened.version == 1)
            #expect(opened.attempts == 1)
            #expect(opened.stored?.events.map(\.version) == [1])
            try await store.execute(.deposit(cents: 100), on: "a", of: Account())
            let done = try await accounts.execute(.withdraw(cents: 30), on: "a")
            #expect(done.state == Account.State(owner: "Ada", balance: 70, events: 3, mark: "\u{0}"))
            #expect(done.version == 3)
            let loaded = try await accounts.load("a")
            #expect(loaded.state == done.state)
            #expect(loaded.version == 3)
        }
    }

    @Test("what the decider refuses reaches the caller, and nothing is stored")
    func refused() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            await #expect(throws: Overdrawn(balance: 0)) { try await accounts.execute(.withdraw(cents: 1), on: "a") }
            #expect(try await versions("a", in: store) == 0)
            let loaded = try await accounts.load("a")
            #expect(loaded.version == 0)
            #expect(loaded.state == Account().initialState)
        }
    }

    @Test("a command that changes nothing appends nothing")
    func nothing() async throws {
        try await withStore { store in
            let done = try await store.execute(.nothing, on: "a", of: Account())
            #expect(done.events.isEmpty)
            #expect(done.stored == nil)
            #expect(done.version == 0)
            #expect(try await versions("a", in: store) == 0)
        }
    }

    @Test("an event that could not be read again is not stored")
    func unregistered() async throws {
        try await withStore { store in
            let error = await #expect(throws: AggregateError.self) {
                try await store.execute(.forget, on: "a", of: Account())
            }
            guard case .unregisteredEvent("account.forgotten", StreamID("account", "a")) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            let stored = try await versions("a", in: store)
            #expect(stored == 0)
        }
    }

    @Test("an event of an unknown type fails the load by name, or changes nothing where that is wanted")
    func unknown() async throws {
        try await withStore { store in
            try await store.execute(.deposit(cents: 5), on: "a", of: Account())
            try await store.append([NewEvent(type: "other", data: .emptyObject)], to: StreamID("account", "a"))
            let error = await #expect(throws: AggregateError.self) { try await store.aggregate(Account()).load("a") }
            #expect("\(String(describing: error))".contains("version 2 of account/a is of the type “other”"))
            let lenient = store.aggregate(Account(), unknownEvents: .skip)
            let done = try await lenient.execute(.withdraw(cents: 5), on: "a")
            #expect(done.version == 3)
            #expect(done.state.events == 2)
            #expect(try await lenient.load("a").state == done.state)
        }
    }

    @Test("an event whose data does not fit its type fails the load by name")
    func undecodable() async throws {
        try await withStore { store in
            try await store.append(
                [NewEvent(type: Deposited.eventType, data: JSON(#"{"cents": "many"}"#))],
                to: StreamID("account", "a")
            )
            let error = await #expect(throws: AggregateError.self) { try await store.aggregate(Account()).load("a") }
            guard case .undecodableEvent(Deposited.eventType, _, 1, let reason) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(reason.contains("cents"))
        }
    }

    @Test("the state of any version and time in the past, with more events than a page has")
    func asOf() async throws {
        try await withStore { store in
            let stream = StreamID("account", "a")
            let noon = Date(timeIntervalSinceReferenceDate: 0)
            let count = 2 * StreamReader.pageSize + 10
            let events = try (1...count).map { number in
                try NewEvent(Deposited(cents: 1), occurredAt: noon.addingTimeInterval(Double(number)))
            }
            try await store.append(events, to: stream)
            for accounts in [store.aggregate(Account()), store.aggregate(Account(), snapshots: .every(1, shape: 1))] {
                let all = try await accounts.load("a")
                #expect(all.version == count)
                #expect(all.state.balance == count)
                for version in [0, 1, StreamReader.pageSize, StreamReader.pageSize + 1, count, count + 5] {
                    let past = try await accounts.load("a", asOf: .version(version))
                    #expect(past.version == min(version, count))
                    #expect(past.state.balance == min(version, count))
                }
                let moment = noon.addingTimeInterval(1_500)
                #expect(try await accounts.load("a", asOf: .time(moment)).state.balance == 1_500)
                #expect(try await accounts.load("a", asOf: .time(noon)).version == 0)
            }
        }
    }

    @Test("the state that a command gives is the one a load gives, also where JSON knows less than the value")
    func sameState() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            let fine = Date(timeIntervalSinceReferenceDate: 7.123_456_7)
            let done = try await accounts.execute(.open(owner: "Ada\u{0301}", at: fine), on: "a")
            #expect(done.state.openedAt != fine)
            #expect(try await accounts.load("a").state == done.state)
        }
    }

    @Test("in the caller's transaction the events are stored with it, or not at all")
    func inTransaction() async throws {
        struct Stop: Error {}
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(1, shape: 1))
            await #expect(throws: Stop.self) {
                try await store.withTransaction { transaction in
                    let done = try await accounts.execute(.deposit(cents: 1), on: "a", in: transaction)
                    #expect(done.version == 1)
                    let again = try await accounts.execute(.deposit(cents: 1), on: "a", in: transaction)
                    #expect(again.version == 2)
                    throw Stop()
                }
            }
            #expect(try await versions("a", in: store) == 0)
            let left = try await store.client.text("SELECT count(*)::text FROM millrace.snapshots")
            #expect(left == "0", "a snapshot of what never was")
            try await store.withTransaction { transaction in
                try await accounts.execute(.deposit(cents: 2), on: "a", in: transaction)
                #expect(try await accounts.load("a", in: transaction).state.balance == 2)
            }
            let taken = try await store.client.text("SELECT version::text FROM millrace.snapshots")
            #expect(taken == "1")
        }
    }

    @Test("in a transaction a command holds its stream, so that nobody comes between its load and its append")
    func holdsItsStream() async throws {
        try await withStore { store in
            let deciding = Counter()
            let slow = store.aggregate(Account())
            try await store.withTransaction { transaction in
                try await slow.execute(.deposit(cents: 1), on: "a", in: transaction)
                // Waits for the transaction, and is decided on what it has stored.
                var retry = CommandRetry()
                retry.lockWait = .milliseconds(1)
                retry.attemptsWithoutLocks = 0
                retry.attempts = 2
                let error = await #expect(throws: AggregateError.self) {
                    try await store.aggregate(Account(isDeciding: { deciding.increment() }), retry: retry)
                        .execute(.withdraw(cents: 1), on: "a")
                }
                guard case .conflict([StreamID("account", "a")], 2, .postgres(let last)) = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(last.sqlState == .lockNotAvailable)
            }
            #expect(deciding.value == 0)
            #expect(try await slow.execute(.withdraw(cents: 1), on: "a").version == 2)
        }
    }

    @Test("a decision in the caller's transaction throws its conflict")
    func conflictInTransaction() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            let error = await #expect(throws: EventStoreError.self) {
                try await store.withTransaction { transaction in
                    try await store.decide(in: transaction) { decision in
                        let before = try await decision.load(accounts, "a")
                        #expect(before.balance == 0)
                        try await accounts.execute(.deposit(cents: 1), on: "a")
                        try await decision.execute(.deposit(cents: 2), on: "b", of: accounts)
                    }
                }
            }
            guard case .versionConflict(let conflicts) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(conflicts.map(\.stream) == [StreamID("account", "a")])
            let stored = try await versions("b", in: store)
            #expect(stored == 0)
        }
    }

    @Test("several streams are decided on at once, each seen with what the decision did before")
    func decide() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            try await accounts.execute(.deposit(cents: 100), on: "a")
            let decided = try await store.decide { decision in
                try await decision.execute(.withdraw(cents: 60), on: "a", of: accounts)
                try await decision.execute(.deposit(cents: 60), on: "b", of: accounts)
                return try await decision.execute(.withdraw(cents: 40), on: "a", of: accounts).balance
            }
            #expect(decided.value == 0)
            #expect(decided.stored?.events.map(\.version) == [2, 1, 3])
            #expect(decided.attempts == 1)
            await #expect(throws: Overdrawn(balance: 0)) {
                try await store.decide { decision in
                    try await decision.execute(.deposit(cents: 1), on: "b", of: accounts)
                    try await decision.execute(.withdraw(cents: 1), on: "a", of: accounts)
                }
            }
            #expect(try await accounts.load("b").state.balance == 60, "nothing of what was refused is stored")
        }
    }

    @Test("a stream that a decision only looked at must not have moved")
    func onlyLookedAt() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            let runs = Counter()
            let decided = try await store.decide { decision in
                let seen = try await decision.load(accounts, "a").balance
                runs.increment()
                if runs.value == 1 { try await accounts.execute(.deposit(cents: 7), on: "a") }
                try await decision.execute(.deposit(cents: seen), on: "b", of: accounts)
            }
            #expect(decided.attempts == 2)
            #expect(try await accounts.load("b").state.balance == 7)
        }
    }

    @Test("two deciders on one stream, and a decision that is used too late, are refused by name")
    func misuse() async throws {
        try await withStore { store in
            let other = store.aggregate(Ledgerkeeper())
            let accounts = store.aggregate(Account())
            let error = await #expect(throws: AggregateError.self) {
                try await store.decide { decision in
                    _ = try await decision.load(accounts, "a")
                    _ = try await decision.load(other, "a")
                }
            }
            #expect("\(String(describing: error))".contains("account/a belongs to another decider"))
            let kept = try await store.decide { $0 }.value
            let late = await #expect(throws: AggregateError.self) { try await kept.load(accounts, "a") }
            #expect("\(String(describing: late))".contains("has ended"))
        }
    }

    @Test(
        "events have the metadata of their task where they say nothing themselves, and what is appended otherwise has none of it"
    )
    func metadata() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account())
            let request = EventMetadata(correlationID: "r-1", causationID: "c-1", actor: "ada", own: ["region": "eu"])
            try await EventMetadata.$current.withValue(request) {
                try await accounts.execute(.deposit(cents: 1), on: "a")
                try await accounts.execute(.deposit(cents: 1, reference: "speaks for itself"), on: "a")
                try await store.decide { try await $0.execute(.deposit(cents: 1), on: "a", of: accounts) }
                try await store.append(Deposited(cents: 1), to: StreamID("account", "a"))
            }
            try await accounts.execute(.deposit(cents: 1), on: "a")
            var metadata: [EventMetadata] = []
            for try await event in store.readStream(StreamID("account", "a")) {
                metadata.append(try event.decodeMetadata())
            }
            var second = request
            second.causationID = "its own"
            second.actor = "itself"
            #expect(metadata == [request, second, request, EventMetadata(), EventMetadata()])
            let actor = try await store.client.text("SELECT metadata->>'actor' FROM millrace.events WHERE version = 1")
            #expect(actor == "ada")
        }
    }

    @Test("a handler's command is stored with its checkpoint, and says which event led to it")
    func inHandler() async throws {
        try await withStore { store in
            let accounts = store.aggregate(Account(), snapshots: .every(1, shape: 1))
            let bonus = Handler("bonus", matching: .eventTypes(AccountOpened.eventType)) { event, context in
                try await context.execute(.deposit(cents: 10), on: event.stream.aggregateID, of: accounts)
                try await context.execute(.deposit(cents: 5), on: "bank", of: Account())
                return .done
            }
            let request = EventMetadata(correlationID: "r-1", traceparent: "t-1", actor: "ada")
            try await EventMetadata.$current.withValue(request) {
                try await accounts.execute(.open(owner: "Ada"), on: "a")
            }
            let report = try await store.handleEverything(with: bonus)
            #expect(report.parked.isEmpty)
            #expect(try await accounts.load("a").state.balance == 10)
            #expect(try await accounts.load("bank").state.balance == 5)
            var events: [RecordedEvent] = []
            for try await event in store.readStream(StreamID("account", "a")) { events.append(event) }
            let metadata = try events[1].decodeMetadata()
            #expect(metadata.causationID == events[0].id.uuidString.lowercased())
            #expect(metadata.correlationID == "r-1")
            #expect(metadata.traceparent == "t-1")
            #expect(metadata.actor == nil)
        }
    }
}
