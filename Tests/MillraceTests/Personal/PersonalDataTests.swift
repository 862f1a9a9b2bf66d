import Foundation
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

@testable import Millrace

/// What is declared personal is stored sealed, and read as it was given.
@Suite("personal data")
struct PersonalDataTests {
    private static let customer = StreamID("customer", "c-7")
    private static let order = NewEvent(
        type: "order.created",
        data: JSON(
            #"{"customer_id": "c-7", "deliver_to": {"street": "Rua A", "city": "B"}, "items": [{"n": 0.10, "engraving": {"text": "Für Ana"}}, {"n": 2}]}"#
        )
    )

    @Test("SQL sees an envelope, the store what was given, and a store that knows of nothing the envelope")
    func sealed() async throws {
        try await CustomerTest.with { test in
            let store = test.store()
            try await store.append(
                CustomerRegistered(name: .value("Ana Souza"), address: .value(["street": "Rua A"])),
                to: Self.customer
            )
            try await store.append([Self.order], to: StreamID("order", "1"))

            let stored = try await test.client.texts("SELECT event_data::text FROM millrace.events ORDER BY id")
            for text in stored.compactMap({ $0 }) {
                for secret in ["Ana", "Rua A", "text"] { #expect(!text.contains(secret), "\(text)") }
            }
            #expect(
                try await test.client.texts(
                    "SELECT concat_ws(' ', event_data -> 'name' -> '$personal' ->> 'subject', event_data ->> 'plan') FROM millrace.events WHERE id = 1"
                ) == ["customer/c-7 basic"]
            )
            var read: [RecordedEvent] = []
            for try await event in test.store().readAll() { read.append(event) }
            #expect(try read[0].decode(CustomerRegistered.self).name == .value("Ana Souza"))
            #expect(try read[0].decode(CustomerRegistered.self).address == .value(["street": "Rua A"]))
            #expect(try JSONValue(read[1].data) == JSONValue(Self.order.data))

            let plain = EventStore(test.client)
            for try await event in plain.readStream(Self.customer) {
                #expect(event.data.text == stored[0])
                #expect(throws: DecodingError.self) { try event.decode(CustomerRegistered.self) }
            }
        }
    }

    @Test("an append that is repeated is recognised by its ids, though it is sealed anew; in a transaction too")
    func repeated() async throws {
        try await CustomerTest.with { test in
            let event = try NewEvent(CustomerRegistered(name: .value("Ana")))
            let first = try await test.store().append([event], to: Self.customer, expecting: .noStream)
            let again = try await test.store().append([event], to: Self.customer, expecting: .noStream)
            #expect(again.wasRepeated && again.events == first.events)
            let store = test.store()
            let third = try await store.withTransaction { transaction in
                try await store.append([event], to: Self.customer, expecting: .noStream, in: transaction)
            }
            #expect(third.wasRepeated && third.events == first.events)
        }
    }

    @Test("a key that a rolled back append asked for is there for the next one")
    func rolledBack() async throws {
        struct Undone: Error {}
        try await CustomerTest.with { test in
            let store = test.store()
            await #expect(throws: Undone.self) {
                try await store.withTransaction { transaction in
                    try await store.append(CustomerRegistered(name: .value("Ana")), to: Self.customer, in: transaction)
                    throw Undone()
                }
            }
            try await store.append(CustomerRegistered(name: .value("Bia")), to: Self.customer)
            #expect(try await test.store().aggregate(Customer()).load("c-7").state.names == [.value("Bia")])
            #expect(try await test.client.texts("SELECT count(*)::text FROM millrace.subject_keys") == ["1"])
        }
    }

    @Test(
        "what cannot be sealed is refused, and nothing is stored",
        arguments: [
            (#"{"deliver_to": {"street": "A"}}"#, "missing"),
            (#"{"customer_id": null, "deliver_to": {"street": "A"}}"#, "no text"),
            (#"{"customer_id": {"a": 1}, "deliver_to": {"street": "A"}}"#, "no text"),
            (#"{"customer_id": "", "deliver_to": {"street": "A"}}"#, "no text"),
            (#"{"customer_id": "c", "deliver_to": "A"}"#, "“deliver_to” is no object"),
            (#"["A"]"#, "no object"),
            (#"{"customer_id": "c", "note": {"$personal": 1}}"#, "kept for encrypted values"),
            (#"{"customer_id": "c", "note": [{"\u0024personal": 1}]}"#, "kept for encrypted values"),
            (#"{"customer_id": "c", "deliver_to": {"street": "A"}"#, "not JSON"),
        ]
    )
    func refused(data: String, word: String) async throws {
        try await CustomerTest.with { test in
            let store = test.store()
            let error = await #expect(throws: EventStoreError.self) {
                try await store.append(
                    [NewEvent(type: "fine", data: .emptyObject), NewEvent(type: "order.created", data: JSON(data))],
                    to: StreamID("order", "1")
                )
            }
            guard case .invalidEvent(let message, _) = error else {
                throw UnexpectedOutcome(what: "\(String(describing: error))")
            }
            #expect(message.contains(word), "\(message)")
            #expect(try await test.rows().isEmpty)
        }
    }

    @Test("what is not there is not sealed, nor what was forgotten before, and a number says whose it is too")
    func nothing() async throws {
        try await CustomerTest.with { test in
            let store = test.store()
            for data in [
                #"{"items": [], "deliver_to": null}"#, #"{"deliver_to": {"street": null}}"#,
                #"{"deliver_to": {"street": {"$redacted": true}}}"#, "null",
            ] {
                try await store.append([NewEvent(type: "order.created", data: JSON(data))], to: StreamID("order", "1"))
            }
            #expect(try await test.client.texts("SELECT count(*)::text FROM millrace.subject_keys") == ["0"])
            let event = NewEvent(
                type: "order.created",
                data: JSON(#"{"customer_id": 7, "deliver_to": {"street": 5}}"#)
            )
            try await store.append([event], to: StreamID("order", "1"))
            #expect(try await test.client.texts("SELECT subject FROM millrace.subject_keys") == ["customer/7"])
        }
    }

    /// Changes what is stored, as whoever owns the database can.
    private func tamper(_ client: PostgresClient, _ sql: String) async throws {
        try await client.run("ALTER TABLE millrace.events DISABLE TRIGGER USER")
        for table in try await client.texts(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'millrace.events'::regclass"
        ) { try await client.run("ALTER TABLE \(table ?? "") DISABLE TRIGGER USER") }
        try await client.run(sql)
    }

    @Test(
        "an envelope that was changed, or moved to another field or event, is an error that names both",
        arguments: [
            (
                1, "name",
                "UPDATE millrace.events SET event_data = jsonb_set(event_data, '{name,$personal,sealed}', '\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"') WHERE id = 1"
            ),
            (
                1, "address",
                "UPDATE millrace.events SET event_data = jsonb_set(event_data, '{address}', event_data -> 'name') WHERE id = 1"
            ),
            (
                1, "plan",
                "UPDATE millrace.events SET event_data = jsonb_set(event_data, '{plan}', event_data -> 'name') WHERE id = 1"
            ),
            (
                2, "address",
                "UPDATE millrace.events SET event_data = (SELECT event_data FROM millrace.events WHERE id = 1) WHERE id = 2"
            ),
            (
                1, "name",
                "UPDATE millrace.events SET event_data = jsonb_set(event_data, '{name,$personal,subject}', '\"customer/c-8\"') WHERE id = 1"
            ),
            (
                1, "name",
                "UPDATE millrace.events SET event_data = jsonb_set(event_data, '{name,$personal,key}', to_jsonb(gen_random_uuid())) WHERE id = 1"
            ),
            (
                1, "name",
                "UPDATE millrace.events SET event_data = jsonb_set(event_data, '{name,$personal}', '1') WHERE id = 1"
            ),
        ]
    )
    func tampered(position: Int64, field: String, sql: String) async throws {
        try await CustomerTest.with { test in
            let store = test.store()
            for name in ["Ana", "Bia", "Caio"] {
                let event = CustomerRegistered(name: .value(name), address: .value(["street": name]))
                try await store.append(event, to: Self.customer)
            }
            try await tamper(test.client, sql)

            var read: [Int64] = []
            let error = await #expect(throws: PersonalDataError.self) {
                for try await event in store.readAll() { read.append(event.position.rawValue) }
            }
            guard case .unreadable(_, let at, let stream, let named, _) = error else {
                throw UnexpectedOutcome(what: "\(String(describing: error))")
            }
            #expect(at.rawValue == position && stream == Self.customer && named == field)
            #expect(read == Array(1..<position))
            // Events before it are given by pages too.
            await #expect(throws: PersonalDataError.self) {
                var after = Position.start
                while true { after = try await store.readPage(after: after).scannedTo }
            }
            await #expect(throws: PersonalDataError.self) {
                for try await _ in store.subscribe(from: .start) {}
            }
            await #expect(throws: PersonalDataError.self) { _ = try await store.aggregate(Customer()).load("c-7") }
        }
    }

    @Test("imports are sealed, go on where they were, and ask for the keys of a chunk at once")
    func imported() async throws {
        try await CustomerTest.with { test in
            let events = try (0..<50).map { number in
                ImportEvent(
                    try NewEvent(CustomerRegistered(name: .value("Name \(number)"))),
                    to: StreamID("customer", "\(number % 7)")
                )
            }
            func importing(_ events: [ImportEvent]) -> AsyncStream<ImportEvent> {
                AsyncStream { continuation in
                    for event in events { continuation.yield(event) }
                    continuation.finish()
                }
            }
            let limits = ImportLimits(events: 20)
            let store = test.store()
            #expect(try await store.importEvents(from: importing(events), named: "a", limits: limits).stored == 50)
            #expect(
                try await test.store().importEvents(from: importing(events), named: "a", limits: limits).passedOver
                    == 50
            )
            var names: [Personal<String>] = []
            for try await event in store.readAll() { names.append(try event.decode(CustomerRegistered.self).name) }
            #expect(names == (0..<50).map { .value("Name \($0)") })
            #expect(
                try await test.client.texts(
                    "SELECT count(*)::text FROM millrace.events WHERE event_data::text LIKE '%Name%'"
                ) == ["0"]
            )
        }
    }

    @Test("upcasters, handlers, batches, inline projections and histories are given what was sealed")
    func readers() async throws {
        try await CustomerTest.with { test in
            let upcasters = Upcasters().upcast("customer.registered", from: 1) { data in
                data["name"] = .string("lifted " + (data["name"]?.string ?? "nothing"))
            }
            let table = "CREATE TABLE names (name text)"
            let inline = Projection(
                "names",
                version: 1,
                tables: table,
                mode: .inline,
                matching: .eventTypes("customer.registered")
            ) { event, context in
                let name = try event.decode(CustomerRegistered.self).name.value
                try await context.transaction.query("INSERT INTO names VALUES ($1)", [.text(name)])
            }
            let plain = test.store(upcasters: upcasters)
            let store = test.store(upcasters: upcasters, projecting: [inline])
            try await store.register(inline)
            try await store.append(CustomerRegistered(name: .value("Ana")), to: Self.customer)
            #expect(try await test.client.texts("SELECT name FROM names") == ["lifted Ana"])

            let seen = Mutex<[String?]>([])
            let each = Handler("each", matching: .eventTypes("customer.registered")) { event, context in
                let name = try event.decode(CustomerRegistered.self).name.value
                seen.withLock { $0.append(name) }
                return .done
            }
            let batches = Handler.batches("batches", matching: .eventTypes("customer.registered")) { events, _ in
                let names = try events.map { try $0.decode(CustomerRegistered.self).name.value }
                seen.withLock { $0 += names }
                return .done
            }
            _ = try await plain.handleEverything(with: each)
            _ = try await plain.handleEverything(with: batches)
            #expect(seen.withLock { $0 } == ["lifted Ana", "lifted Ana"])
            for try await entry in store.history(of: Self.customer) {
                #expect(try entry.event.decode(CustomerRegistered.self).name == .value("Ana"))
                #expect(entry.after?.text.contains("$personal") == true)
            }
        }
    }

    @Test("a page of events asks for all their keys at once, and for none again while they are known")
    func oneQuestion() async throws {
        struct Counting: SubjectKeys {
            let keys: any SubjectKeys
            let asked: Counter
            func take(for subjects: [String]) async throws -> [SubjectKeyState] { try await keys.take(for: subjects) }
            func read(_ ids: [UUID]) async throws -> [SubjectKeyState?] {
                asked.increment()
                return try await keys.read(ids)
            }
            func ids(of subject: String) async throws -> [UUID] { try await keys.ids(of: subject) }
            func forget(_ subject: String) async throws -> [UUID] { try await keys.forget(subject) }
            func renew(_ subject: String) async throws { try await keys.renew(subject) }
        }
        try await CustomerTest.with { test in
            let store = test.store()
            for number in 0..<100 {
                try await store.append(
                    CustomerRegistered(name: .value("\(number)")),
                    to: StreamID("customer", "\(number)")
                )
            }
            let clock = StandingClock()
            let asked = Counter()
            let reader = EventStore(
                test.client,
                personal: PersonalData(keys: Counting(keys: test.keys, asked: asked), now: { clock.now })
            )
            for _ in 0..<3 {
                var count = 0
                for try await event in reader.readAll(limits: PageLimits(events: 1000)) {
                    #expect(try event.decode(CustomerRegistered.self).name == .value("\(count)"))
                    count += 1
                }
                #expect(count == 100)
            }
            #expect(asked.value == 1)
            clock.advance(by: PersonalData.keyLifetime)
            _ = try await reader.readPage(after: .start)
            #expect(asked.value == 2)
        }
    }

    @Test func declarationsThatContradictEachOtherStopTheProgram() async throws {
        await #expect(processExitsWith: .failure) {
            _ = PersonalData(keys: .inFolder("k")).field("a", "x.y", of: .aggregate).field("a", "x", of: .aggregate)
        }
        await #expect(processExitsWith: .failure) {
            _ = PersonalData(keys: .inFolder("k")).field("a", "x", of: .field("x"))
        }
        await #expect(processExitsWith: .failure) {
            _ = PersonalData(keys: .inFolder("k")).field("a", "x", of: .field("y.z")).field("a", "y", of: .aggregate)
        }
        await #expect(processExitsWith: .failure) {
            _ = PersonalData(keys: .inFolder("k")).field("a", "x..y", of: .aggregate)
        }
        await #expect(processExitsWith: .failure) {
            _ = PersonalData(keys: .inFolder("k")).field("a", "", of: .aggregate)
        }
        await #expect(processExitsWith: .failure) {
            _ = PersonalData(keys: .inFolder("k")).field("", "x", of: .aggregate)
        }
    }
}
