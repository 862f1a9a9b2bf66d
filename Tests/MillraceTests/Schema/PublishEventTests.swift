import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("publish_event")
    struct PublishEventTests {
        @Test("returns the event's UUIDv7 and stores it at the stream's next version")
        func publishes() async throws {
            try await withTestDatabase { client in
                let id = try await client.text(
                    "SELECT millrace.publish_event('order.created', '7', 'order', '{\"total\": 3}', '{\"user\": 1}')::text"
                )
                try await client.run("SELECT millrace.publish_event('order.paid', '7', 'order', '{}')")
                let row = try await client.query(
                    """
                    SELECT e.event_id::text, uuid_extract_version(e.event_id)::int, e.version, e.event_data::text,
                           e.metadata::text, e.occurred_at = e.created_at
                    FROM millrace.events AS e WHERE e.version = 1
                    """
                ).single()
                let (stored, uuidVersion, version, data, metadata, now) = try row.decode(
                    String.self,
                    Int32.self,
                    Int32.self,
                    String.self,
                    String.self,
                    Bool.self
                )
                #expect(stored == id)
                #expect(uuidVersion == 7 && version == 1 && now)
                #expect(data == #"{"total": 3}"# && metadata == #"{"user": 1}"#)
                let stream =
                    "SELECT string_agg(event_type, ',' ORDER BY version) FROM millrace.read_stream('order', '7')"
                #expect(try await client.text(stream) == "order.created,order.paid")
            }
        }

        @Test("is the outbox: it comes and goes with the caller's transaction")
        func outbox() async throws {
            try await withTestDatabase { client async throws in
                struct Abandoned: Error {}
                await #expect(throws: Abandoned.self) {
                    try await client.withTransaction { transaction in
                        try await transaction.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                        throw Abandoned()
                    }
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.streams") == "0")
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "0")
            }
        }

        @Test("the same event id is published once, and its id is taken for every other stream")
        func repeated() async throws {
            try await withTestDatabase { client in
                let id = "01a208a5-3b1d-7658-9dd8-f54994b452f2"
                for _ in 1...3 {
                    let published = try await client.text(
                        "SELECT millrace.publish_event('a', '1', 'order', '{}', p_event_id => '\(id)')::text"
                    )
                    #expect(published == id)
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "1")
                try await expectRefusal("MR008", id) {
                    try await client.run(
                        "SELECT millrace.publish_event('a', '2', 'order', '{}', p_event_id => '\(id)')"
                    )
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.streams") == "1")
            }
        }

        @Test("an expected version is checked", arguments: [(0, true), (1, false), (-1, false)])
        func expected(version: Int, fits: Bool) async throws {
            try await withTestDatabase { client in
                let sql = "SELECT millrace.publish_event('a', '1', 'order', '{}', p_expected_version => \(version))"
                if fits {
                    try await client.run(sql)
                } else {
                    try await expectRefusal("MR010", "order 1", "version 0") { try await client.run(sql) }
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.streams") == (fits ? "1" : "0"))
            }
        }

        @Test("rings event_channel with the position, unless the setting turns it off")
        func rings() async throws {
            try await withTestDatabase { client in
                try await confirmation(expectedCount: 1) { rung in
                    let listener = Task {
                        for await notification in client.notifications(on: ["event_channel"]) {
                            switch notification {
                            case .listening:
                                try await client.withTransaction { transaction in
                                    try await transaction.run("SET LOCAL millrace.notify_on_publish = off")
                                    try await transaction.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                                }
                                try await client.run(
                                    "SELECT millrace.append_events('{1}', '{a}', '{order}', '{1}', ARRAY['{}']::jsonb[])"
                                )
                                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                            case .notified(let channel, let payload, _):
                                #expect(channel == "event_channel" && payload == "3")
                                rung()
                                return
                            }
                        }
                    }
                    try await listener.value
                }
            }
        }

        @Test("16 publishers on one stream leave no gap and no version twice")
        func racing() async throws {
            try await withTestDatabase { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<16 {
                        group.addTask {
                            for _ in 0..<20 {
                                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let counted = try await client.text(
                    """
                    SELECT format('%s %s %s %s', count(*), count(DISTINCT version), max(version), bool_and(rising)) FROM (
                        SELECT version, id > lag(id, 1, 0::bigint) OVER (ORDER BY version) AS rising FROM millrace.events
                    ) AS e
                    """
                )
                #expect(counted == "320 320 320 t")
            }
        }

        @Test("a clock that steps back does not write into a closed month")
        func clockStepsBack() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    "UPDATE millrace.store SET open_since = date_trunc('month', now()) + interval '40 days'"
                )
                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                try await client.run(
                    "SELECT millrace.append_events('{1}', '{a}', '{order}', '{1}', ARRAY['{}']::jsonb[])"
                )
                let stored = try await client.texts(
                    """
                    SELECT (e.created_at = t.open_since AND s.last_event_at = t.open_since)::text
                    FROM millrace.events AS e, millrace.store AS t, millrace.streams AS s
                    """
                )
                #expect(stored == ["true", "true"])
                #expect(try await client.text("SELECT count(*)::text FROM millrace.read_stream('order', '1')") == "2")
            }
        }
    }
}
