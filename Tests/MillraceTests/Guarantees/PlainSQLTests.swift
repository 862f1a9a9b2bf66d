import Foundation
import Millrace
import MillracePostgres
import Testing

/// A session that knows nothing but SQL can do everything: publish, read, listen, rebuild; and all of it but listening
/// through PgBouncer in transaction mode, where the library works too.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct PlainSQLTests {
    @Test func isEnoughForTheWholeLife() async throws {
        try await withStore { store in
            let psql = try await Psql(for: store.client.configuration.connectionString)
            try await Self.publishReadAndRebuild(with: psql)
            // What psql published is what the library reads, and the other way round.
            var types: [String] = []
            for try await event in store.readStream(StreamID("order", "42")) { types.append(event.type) }
            #expect(types == ["order.created", "payment.completed"])
            try await store.append([NewEvent(type: "order.shipped", data: .emptyObject)], to: StreamID("order", "42"))
            let last = try await psql.run("SELECT event_type FROM millrace.read_stream('order', '42', 3);")
            #expect(last == "order.shipped")
        }
    }

    @Test func hearsOfEventsByListening() async throws {
        try await withStore { store in
            let psql = try await Psql(for: store.client.configuration.connectionString)
            // psql shows what it was notified of after each command; another session publishes in between.
            let output = try await psql.run(
                """
                LISTEN event_channel;
                \\! \(psql.shellCommand) -c "SELECT millrace.publish_event('order.created', '7', 'order', '{}')"
                SELECT 'position ' || max(id) FROM millrace.events;
                """
            )
            let lines = output.split(separator: "\n")
            let position = try #require(lines.first { $0.hasPrefix("position ") }).dropFirst("position ".count)
            print("PlainSQL: \(lines.last ?? "")")
            #expect(
                lines.contains {
                    $0.hasPrefix("Asynchronous notification \"event_channel\" with payload \"\(position)\"")
                },
                "\(output)"
            )
        }
    }

    @Test(.enabled(if: PgBouncer.program != nil, "there is no pgbouncer on this machine"))
    func worksThroughPgBouncerInTransactionMode() async throws {
        try await withStore { store in
            try await PgBouncer.run(inFrontOf: store.client.configuration.connectionString) { bouncer in
                let psql = try await Psql(for: bouncer.connectionString)
                try await Self.publishReadAndRebuild(with: psql)

                var configuration = PostgresConfiguration(bouncer.connectionString)
                // PgBouncer hands each transaction to another session, which knows nothing of our prepared statements.
                configuration.preparedStatements = false
                try await withClient(configuration) { client in
                    try await Self.liveThroughTheLibrary(EventStore(client))
                }
                let audit = try await LogAudit(of: store.client)
                #expect(audit.brokenStreams.isEmpty)
                print("PlainSQL: \(audit.log.count) events stored through PgBouncer")
            }
        }
    }

    private static func publishReadAndRebuild(with psql: Psql) async throws {
        let published = try await psql.run(
            """
            SELECT millrace.publish_event('order.created', '42', 'order', '{"total": 99, "state": "new"}');
            BEGIN;
            SELECT millrace.publish_event('payment.completed', '42', 'order', '{"state": "paid"}', '{"by": "psql"}');
            SELECT millrace.publish_event('inventory.reserved', 'sku-1', 'item', '{"n": 1}');
            COMMIT;
            BEGIN;
            SELECT millrace.publish_event('order.cancelled', '42', 'order', '{}');
            ROLLBACK;
            """
        )
        let ids = published.split(separator: "\n").compactMap { UUID(uuidString: String($0)) }
        #expect(ids.count == 4, "each call answers with the event's id: \(published)")

        let stream = try await psql.run(
            "SELECT version, event_type, event_data ->> 'state' FROM millrace.read_stream('order', '42');"
        )
        #expect(stream == "1|order.created|new\n2|payment.completed|paid")
        let log = try await psql.run("SELECT event_type FROM millrace.read_all();")
        #expect(log == "order.created\npayment.completed\ninventory.reserved")
        let filtered = try await psql.run("SELECT event_type FROM millrace.read_all(0, 10, NULL, ARRAY['item']);")
        #expect(filtered == "inventory.reserved")
        let page = try await psql.run(
            "SELECT scanned_to = max(id) OVER (), event_type FROM millrace.read_page(0, 10) ORDER BY id;"
        )
        #expect(page == "t|order.created\nt|payment.completed\nt|inventory.reserved")
        let state = try await psql.run("SELECT millrace.rebuild_aggregate('order', '42') ->> 'state';")
        #expect(state == "paid")
        let before = try await psql.run("SELECT millrace.rebuild_aggregate('order', '42', 1) ->> 'state';")
        #expect(before == "new")
        let refused = await #expect(throws: Psql.Failure.self) {
            try await psql.run("UPDATE millrace.events SET event_data = '{}';")
        }
        #expect(refused?.message.contains("never changes") == true)
    }

    /// Appending, transactions, reading and subscribing; new events are found by polling, because nobody can listen.
    private static func liveThroughTheLibrary(_ store: EventStore) async throws {
        let stream = StreamID("bounced", "1")
        let subscription = store.subscribe(from: .end, matching: .aggregateTypes("bounced"))
        let seen = Sightings(of: "subscriber behind PgBouncer")
        let following = Task {
            for try await element in subscription {
                if case .event(let event) = element { seen.note(event) }
            }
        }
        defer { following.cancel() }
        try await store.append([NewEvent(type: "one", data: .emptyObject)], to: stream, expecting: .noStream)
        try await store.withTransaction { transaction in
            try await store.append([NewEvent(type: "two", data: .emptyObject)], to: stream, in: transaction)
            try await store.append([NewEvent(type: "three", data: .emptyObject)], to: stream, in: transaction)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    try await store.append(
                        [NewEvent(type: "more", data: .emptyObject)],
                        to: StreamID("bounced", "m\(number)")
                    )
                }
            }
            try await group.waitForAll()
        }
        var types: [String] = []
        for try await event in store.readStream(stream) { types.append(event.type) }
        #expect(types == ["one", "two", "three"])
        try await eventually("the subscriber has the last event") { seen.count >= 20 }
        #expect(Set(seen.all).count == seen.count)
    }
}
