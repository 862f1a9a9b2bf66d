import Foundation
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

@testable import Millrace

/// Promise: whoever is forgotten can be read by nobody any more, whatever way events are read; and no event was changed for it.
@Suite(.timeLimit(.minutes(15)))
struct ForgottenIsUnreadableTests {
    private static let ana = StreamID("customer", "ana")
    private static let bia = StreamID("customer", "bia")

    private static func register(_ name: String, as stream: StreamID, in store: EventStore) async throws {
        try await store.append(
            CustomerRegistered(name: .value(name), address: .value(["street": "Rua \(name)"])),
            to: stream
        )
    }

    /// What each way of reading has for the names of the log, nil for the redacted ones.
    private static func everyWay(_ store: EventStore) async throws -> [String: [String?]] {
        var ways: [String: [String?]] = [:]
        func name(_ event: RecordedEvent) throws -> String? { try event.decode(CustomerRegistered.self).name.value }
        ways["readAll"] = []
        for try await event in store.readAll() { ways["readAll"]?.append(try name(event)) }
        ways["readPage"] = try await store.readPage(after: .start).events.map(name)
        ways["readStream"] = []
        for stream in [ana, bia] {
            for try await event in store.readStream(stream) { ways["readStream"]?.append(try name(event)) }
        }
        ways["subscribe"] = []
        subscription: for try await element in store.subscribe(from: .start) {
            switch element {
            case .event(let event): ways["subscribe"]?.append(try name(event))
            case .progress: continue
            case .caughtUp: break subscription
            }
        }
        ways["subscribeToPages"] = []
        for try await page in store.subscribeToPages(from: .start) {
            ways["subscribeToPages"]? += try page.events.map(name)
            if page.isLast { break }
        }
        for aggregate in [
            store.aggregate(Customer()), store.aggregate(Customer(), snapshots: .every(1, shape: 1)),
        ] {
            let way = aggregate.snapshots == nil ? "decider" : "decider with snapshots"
            ways[way] = []
            for stream in [ana, bia] {
                ways[way]? += try await aggregate.load(stream.aggregateID).state.names.map(\.value)
            }
        }
        let handled = Mutex<[Position: String?]>([:])
        let handler = Handler("of-\(UUID())", matching: .eventTypes("customer.registered")) { event, _ in
            let name = try event.decode(CustomerRegistered.self).name.value
            handled.withLock { $0[event.position] = .some(name) }
            return .done
        }
        _ = try await store.handleEverything(with: handler)
        ways["handler"] = handled.withLock { $0.sorted { $0.key < $1.key }.map(\.value) }
        return ways
    }

    @Test("no reader sees the value, and every event is byte for byte what it was", arguments: KeyKeeping.allCases)
    func everywhere(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let store = test.store()
            try await Self.register("Ana", as: Self.ana, in: store)
            try await Self.register("Bia", as: Self.bia, in: store)
            for (way, names) in try await Self.everyWay(store) { #expect(names == ["Ana", "Bia"], "\(way)") }
            let before = try await test.rows()
            #expect(
                try await test.client.text(
                    "SELECT count(*)::text FROM millrace.snapshots WHERE state::text LIKE '%Ana%'"
                )
                    == "1"
            )

            let plan = try await store.forget("customer/ana", reason: "asked", dryRun: true)
            #expect(plan.forgottenAt == nil && plan.events == 1 && plan.streams == [Self.ana])
            for (way, names) in try await Self.everyWay(store) { #expect(names == ["Ana", "Bia"], "\(way)") }

            let receipt = try await store.forget("customer/ana", reason: "asked")
            #expect(receipt.forgottenAt != nil && receipt.events == 1 && receipt.streams == [Self.ana])
            #expect(receipt.keyIDs.count == 1 && receipt.keyIDs == plan.keyIDs && receipt.snapshotsDiscarded == 1)
            for reader in [store, test.store()] {
                for (way, names) in try await Self.everyWay(reader) { #expect(names == [nil, "Bia"], "\(way)") }
            }
            #expect(try await test.rows() == before)
            #expect(
                try await test.client.text(
                    "SELECT count(*)::text FROM millrace.snapshots WHERE state::text LIKE '%Ana%'"
                )
                    == "0"
            )
            // Nobody is forgotten by a slip of the pen, and twice is once.
            await #expect(throws: PersonalDataError.unknownSubject("customer/anna")) {
                try await store.forget("customer/anna", reason: "asked")
            }
            #expect(try await store.forget("customer/ana", reason: "again").keyIDs == receipt.keyIDs)
            await #expect(throws: EventStoreError.self) { try await store.forget("customer/ana", reason: " ") }
        }
    }

    @Test(
        "nothing of a forgotten subject is stored before it is renewed, and what was forgotten stays so",
        arguments: KeyKeeping.allCases
    )
    func renewed(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let store = test.store()
            try await Self.register("Ana", as: Self.ana, in: store)
            try await store.forget("customer/ana", reason: "asked")
            let count = try await test.rows().count
            for store in [store, test.store()] {
                await #expect(throws: PersonalDataError.subjectForgotten("customer/ana")) {
                    try await Self.register("Ana", as: Self.ana, in: store)
                }
                await #expect(throws: PersonalDataError.subjectForgotten("customer/ana")) {
                    try await store.execute("Ana", on: "ana", of: Customer())
                }
            }
            #expect(try await test.rows().count == count)
            try await store.renew("customer/ana", reason: "is back")
            try await Self.register("Ana again", as: Self.ana, in: store)
            #expect(
                try await test.store().aggregate(Customer()).load("ana").state.names
                    == [.redacted, .value("Ana again")]
            )
            await #expect(throws: PersonalDataError.unknownSubject("customer/x")) {
                try await store.renew("customer/x", reason: "is back")
            }
        }
    }

    @Test("another process knows the key until its time is over, and not longer", arguments: KeyKeeping.allCases)
    func otherProcesses(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let clock = StandingClock()
            let other = test.store(now: { clock.now })
            try await Self.register("Ana", as: Self.ana, in: other)
            #expect(try await other.aggregate(Customer()).load("ana").state.names == [.value("Ana")])
            try await test.store().forget("customer/ana", reason: "asked")
            #expect(try await other.aggregate(Customer()).load("ana").state.names == [.value("Ana")])

            // What it knows does not become a snapshot, which nobody would discard any more.
            let snapshots = other.aggregate(Customer(), snapshots: .every(1, shape: 1))
            #expect(try await snapshots.load("ana").state.names == [.value("Ana")])
            // What it still appends is stored, and forgotten.
            try await Self.register("Ana 2", as: Self.ana, in: other)
            // Into a stream that nobody knew of when she was forgotten.
            let elsewhere = StreamID("order", "1")
            let order = NewEvent(
                type: "order.created",
                data: JSON(#"{"customer_id": "ana", "deliver_to": {"street": "Rua Ana"}}"#)
            )
            try await other.append([order], to: elsewhere)
            #expect(try await test.client.texts("SELECT state::text FROM millrace.snapshots") == [])

            clock.advance(by: PersonalData.keyLifetime)
            #expect(try await other.aggregate(Customer()).load("ana").state.names == [.redacted, .redacted])
            await #expect(throws: PersonalDataError.subjectForgotten("customer/ana")) {
                try await Self.register("Ana 3", as: Self.ana, in: other)
            }
            for store in [other, test.store()] {
                for try await event in store.readStream(elsewhere) { #expect(!event.data.text.contains("Rua")) }
            }
        }
    }

    @Test("a projection shows it no more once it is built anew, and those that are not named are said")
    func projections() async throws {
        func projection(_ name: String) -> Projection {
            Projection(
                name,
                version: 1,
                tables: "CREATE TABLE \(name) (id text, name text)",
                matching: .eventTypes("customer.registered"),
                options: ProjectionOptions(lanes: 2)
            ) { event, context in
                let registered = try event.decode(CustomerRegistered.self)
                try await context.transaction.query(
                    PostgresStatement("INSERT INTO \(name) VALUES ($1, $2)"),
                    [.text(event.stream.aggregateID), .text(registered.name.value)]
                )
            }
        }
        try await CustomerTest.with { test in
            let clock = StandingClock()
            let store = test.store()
            // The worker is another process than the one that forgets.
            let worker = test.store(now: { clock.now })
            try await Self.register("Ana", as: Self.ana, in: store)
            try await Self.register("Bia", as: Self.bia, in: store)
            try await worker.projecting([projection("names"), projection("others")]) {
                try await store.waitUntilProjected(by: "names")
                try await store.waitUntilProjected(by: "others")
                let names: @Sendable (String) async throws -> [String?] = { table in
                    try await test.client.texts("SELECT name FROM \(table) ORDER BY id")
                }
                #expect(try await names("names") == ["Ana", "Bia"])
                let receipt = try await store.forget(
                    "customer/ana",
                    reason: "asked",
                    rebuilding: ["names"],
                    dryRun: false
                ) { clock.advance(by: PersonalData.keyLifetime) }
                #expect(receipt.mayStillShow == ["others"])
                let rebuild = try #require(receipt.rebuilds.first)
                #expect(rebuild.projection == "names")
                try await store.projections.waitUntilServing("names", generation: rebuild.generation)
                #expect(try await names("names") == [nil, "Bia"])
                #expect(try await names("others") == ["Ana", "Bia"])
            }
            await #expect(throws: EventStoreError.self) {
                try await store.forget("customer/bia", reason: "asked", rebuilding: ["misspelt"])
            }
            #expect(try await test.store().aggregate(Customer()).load("bia").state.names == [.value("Bia")])
        }
    }

    @Test("appends that race with it are stored whole and forgotten, or refused", arguments: KeyKeeping.allCases)
    func racing(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            for round in 0..<6 {
                let stream = StreamID("customer", "r-\(round)")
                let started = Rendezvous(parties: 5)
                let stored = Counter()
                try await withThrowingTaskGroup { group in
                    for number in 0..<4 {
                        group.addTask {
                            var store = test.store()
                            for turn in 0..<1_000 {
                                // Processes come and go; one that has just begun knows no keys.
                                if turn.isMultiple(of: 5) { store = test.store() }
                                do {
                                    try await Self.register("Secret \(number) \(turn)", as: stream, in: store)
                                    stored.increment()
                                } catch PersonalDataError.subjectForgotten { return }
                                if turn == 0 { await started.arrive() }
                            }
                        }
                    }
                    group.addTask {
                        await started.arrive()
                        try await test.store().forget("customer/r-\(round)", reason: "asked")
                    }
                    try await group.waitForAll()
                }
                var read = 0
                for try await event in test.store().readStream(stream) {
                    let registered = try event.decode(CustomerRegistered.self)
                    #expect(registered.name == .redacted && registered.address == .redacted)
                    read += 1
                }
                #expect(read == stored.value)
                #expect(
                    try await test.client.text(
                        "SELECT count(*)::text FROM millrace.events WHERE event_data::text LIKE '%Secret%'"
                    ) == "0"
                )
            }
        }
    }

    @Test("a snapshot that is being saved while its subject is forgotten does not outlive it")
    func snapshotsRacing() async throws {
        try await CustomerTest.with { test in
            for round in 0..<10 {
                let stream = StreamID("customer", "s-\(round)")
                try await Self.register("Ana", as: stream, in: test.store())
                try await withThrowingTaskGroup { group in
                    for _ in 0..<3 {
                        group.addTask {
                            let customers = test.store().aggregate(Customer(), snapshots: .every(1, shape: 1))
                            for _ in 0..<5 { _ = try await customers.load(stream.aggregateID) }
                        }
                    }
                    group.addTask { try await test.store().forget("customer/s-\(round)", reason: "asked") }
                    try await group.waitForAll()
                }
            }
            #expect(
                try await test.client.text(
                    "SELECT count(*)::text FROM millrace.snapshots WHERE state::text LIKE '%Ana%'"
                )
                    == "0"
            )
        }
    }
}
