import Foundation
import Millrace
import MillracePostgres
import Testing

/// Every subscriber receives every event that was stored, once, in position order, whatever the publishers do.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct NoEventIsSkippedTests {
    /// How long the publishers go on: MILLRACE_SOAK_SECONDS, else 20.
    static let soak = Duration.seconds(
        ProcessInfo.processInfo.environment["MILLRACE_SOAK_SECONDS"].flatMap(Int.init) ?? 20
    )
    /// How long readers may take after the last event until they have it.
    static let settleLimit = Duration.seconds(60)
    /// How often the careless reader polls: often enough to meet the gaps, seldom enough to leave the load its cores.
    static let carelessBeat = Duration.milliseconds(5)
    static let endType = "soak.end"

    @Test func underEverythingThatPublishersDo() async throws {
        try await withStore(connections: 40) { store in
            let load = PublisherLoad(store: store, seed: Dice.seed)
            let plain = Sightings(of: "subscriber")
            let rare = Sightings(of: "subscriber to a rare type")
            let paged = Sightings(of: "subscriber by small pages")
            let restarted = Sightings(of: "subscriber that restarts from its checkpoint")
            let careless = Sightings(of: "reader of id > last, without the horizon")
            let rareTypes = [PublisherLoad.rareType, Self.endType]

            try await withThrowingTaskGroup(of: Void.self) { readers in
                readers.add("the subscriber") { try await Self.follow(store, .all, into: plain) }
                readers.add("the subscriber to a rare type") {
                    try await Self.follow(store, EventFilter(eventTypes: rareTypes), into: rare)
                }
                readers.add("the subscriber by pages") { try await Self.followByPages(store, into: paged) }
                readers.add("the restarting subscriber") { try await Self.followWithRestarts(store, into: restarted) }
                readers.add("the careless reader") { try await Self.readCarelessly(store.client, into: careless) }

                try await load.run(for: Self.soak)
                try await settlePreparedTransactions(store.client)
                try await store.append([NewEvent(type: Self.endType, data: .emptyObject)], to: StreamID("soak", "end"))
                try await readers.waitForAll()
            }

            let audit = try await LogAudit(of: store.client)
            Self.expectTheBookIsTrue(load.book, audit)
            for sightings in [plain, paged, restarted] { Self.expectClean(audit.findings(on: sightings)) }
            Self.expectClean(audit.findings(on: rare) { rareTypes.contains($0.type) })
            // The same load and the same audit find what the horizon prevents: so they would find it in the others.
            let caught = audit.findings(on: careless)
            print("NoEventIsSkipped, to compare: \(caught)")
            #expect(!caught.skipped.isEmpty, "the load does not show what it is there to show")
            #expect(caught.doubled.isEmpty && caught.disordered.isEmpty && caught.invented.isEmpty)
        }
    }

    /// The interleaving that makes `id > last` skip, forced: the lower position is committed after the higher one.
    @Test func whereAReaderWithoutTheHorizonSkips() async throws {
        try await withStore { store in
            let careless = Sightings(of: "reader of id > last, without the horizon")
            let subscriber = Sightings(of: "subscriber")
            let subscription = Task { try await Self.follow(store, .all, into: subscriber) }
            defer { subscription.cancel() }

            try await store.withTransaction { slow in
                try await store.append(
                    [NewEvent(type: "slow", data: .emptyObject)],
                    to: StreamID("race", "a"),
                    in: slow
                )
                try await store.append([NewEvent(type: "fast", data: .emptyObject)], to: StreamID("race", "b"))
                try await Self.readOnceCarelessly(store.client, into: careless)
                #expect(careless.all.map(\.type) == ["fast"])
                // The log as a subscriber may see it ends before the open transaction.
                #expect(try await store.readPage(after: .start).events.isEmpty)
            }
            try await store.append([NewEvent(type: Self.endType, data: .emptyObject)], to: StreamID("race", "end"))
            try await Self.readOnceCarelessly(store.client, into: careless)
            try await within(Self.settleLimit, "the subscriber has the last event") { try await subscription.value }

            let audit = try await LogAudit(of: store.client)
            let caught = audit.findings(on: careless)
            print("NoEventIsSkipped, forced: \(caught)")
            #expect(caught.skipped.map(\.type) == ["slow"])
            Self.expectClean(audit.findings(on: subscriber))
            #expect(subscriber.all.map(\.type) == ["slow", "fast", Self.endType])
        }
    }

    /// A prepared transaction belongs to no session any more, and holds the horizon all the same.
    @Test func whileAPreparedTransactionWaits() async throws {
        try await withStore { store in
            let publish = "SELECT millrace.publish_event('prepared', 'p', 'race', '{}')"
            try await store.client.withConnection { connection in
                for sql in [
                    "BEGIN", "SET LOCAL millrace.notify_on_publish = off", publish, "PREPARE TRANSACTION 'waits'",
                ] {
                    try await connection.query(PostgresStatement(sql, prepared: false))
                }
            }
            try await store.append([NewEvent(type: "later", data: .emptyObject)], to: StreamID("race", "q"))
            #expect(try await store.readPage(after: .start).events.isEmpty)

            try await store.client.query(PostgresStatement("COMMIT PREPARED 'waits'", prepared: false))
            let page = try await store.readPage(after: .start)
            #expect(page.events.map(\.type) == ["prepared", "later"])
        }
    }

    /// A rolled-back savepoint gives up the fence together with its events, and what follows takes a new one.
    @Test func afterASavepointTookTheFenceWithIt() async throws {
        try await withStore { store in
            try await store.withTransaction { transaction in
                await #expect(throws: CancellationError.self) {
                    try await transaction.withSavepoint { inner in
                        try await store.append(
                            [NewEvent(type: "gone", data: .emptyObject)],
                            to: StreamID("race", "s"),
                            in: inner
                        )
                        throw CancellationError()
                    }
                }
                try await store.append(
                    [NewEvent(type: "kept", data: .emptyObject)],
                    to: StreamID("race", "s"),
                    in: transaction
                )
                try await store.append([NewEvent(type: "other", data: .emptyObject)], to: StreamID("race", "t"))
                #expect(try await store.readPage(after: .start).events.isEmpty)
            }
            #expect(try await store.readPage(after: .start).events.map(\.type) == ["kept", "other"])
        }
    }
}

// MARK: - The readers

extension ThrowingTaskGroup<Void, any Error> {
    /// Runs a reader that has to end, with the last event, soon after the load does.
    fileprivate mutating func add(_ reader: String, _ read: @escaping @Sendable () async throws -> Void) {
        addTask {
            let limit = NoEventIsSkippedTests.soak + NoEventIsSkippedTests.settleLimit
            try await within(limit, "\(reader) has the last event", read)
        }
    }
}

extension NoEventIsSkippedTests {
    private static func follow(_ store: EventStore, _ filter: EventFilter, into sightings: Sightings) async throws {
        for try await element in store.subscribe(from: .start, matching: filter) {
            guard case .event(let event) = element else { continue }
            sightings.note(event)
            if event.type == endType { return }
        }
    }

    private static func followByPages(_ store: EventStore, into sightings: Sightings) async throws {
        let options = SubscriptionOptions(limits: PageLimits(events: 7, scanned: 23))
        for try await page in store.subscribeToPages(from: .start, options: options) {
            for event in page.events { sightings.note(event) }
            if page.events.last?.type == endType { return }
        }
    }

    private static func followWithRestarts(_ store: EventStore, into sightings: Sightings) async throws {
        var dice = Dice(seed: Dice.seed &+ 2000)
        var checkpoint = Checkpoint(epoch: try await store.epoch(), position: .start)
        let options = SubscriptionOptions(limits: PageLimits(events: 100, scanned: 100))
        while true {
            var left = Int.random(in: 1...300, using: &dice)
            subscription: for try await element in store.subscribe(from: .checkpoint(checkpoint), options: options) {
                switch element {
                case .event(let event):
                    sightings.note(event)
                    checkpoint = Checkpoint(epoch: checkpoint.epoch, position: event.position)
                    if event.type == endType { return }
                    left -= 1
                    if left == 0 { break subscription }
                case .progress(let position), .caughtUp(let position):
                    checkpoint = Checkpoint(epoch: checkpoint.epoch, position: position)
                }
            }
        }
    }

    private static let afterLast: PostgresStatement = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version
        FROM millrace.events WHERE id > $1 ORDER BY id LIMIT 1000
        """

    /// What a reader must not be: it asks for what is above the highest position it saw.
    private static func readOnceCarelessly(_ client: PostgresClient, into sightings: Sightings) async throws {
        for row in try await client.query(afterLast, [.int8(sightings.last?.position ?? 0)]) {
            sightings.note(try Sighting(row))
        }
    }

    private static func readCarelessly(_ client: PostgresClient, into sightings: Sightings) async throws {
        while sightings.last?.type != endType {
            try await readOnceCarelessly(client, into: sightings)
            try await Task.sleep(for: carelessBeat)
        }
    }
}

// MARK: - The verdict

extension NoEventIsSkippedTests {
    private static func expectClean(_ findings: LogAudit.Findings) {
        print("NoEventIsSkipped: \(findings)")
        #expect(findings.isClean, "\(findings) (seed \(Dice.seed))")
    }

    private static func expectTheBookIsTrue(_ book: PublisherLoad.Book, _ audit: LogAudit) {
        print("NoEventIsSkipped: \(book.summary), in \(audit.streamCount) streams, seed \(Dice.seed)")
        let ids = audit.log.filter { $0.type != endType }.map(\.id)
        #expect(Set(ids).count == ids.count)
        #expect(Set(ids) == book.stored, "the log holds what was committed, and nothing else")
        #expect(book.stored.isDisjoint(with: book.takenBack))
        #expect(audit.brokenStreams.isEmpty)
        for act in PublisherLoad.Act.allCases {
            #expect(book.acts[act, default: 0] > 0, "nobody did \(act): the load is too short to show anything")
        }
    }
}
