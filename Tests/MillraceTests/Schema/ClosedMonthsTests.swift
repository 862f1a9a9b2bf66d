import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("closed months")
    struct ClosedMonthsTests {
        /// As if the store were older than its migration.
        private static let nothingIsClosed =
            "DELETE FROM millrace.closed_months; UPDATE millrace.store SET open_since = '-infinity';"

        /// Two years of months, one of them without events; the positions of neighbours overlap by two.
        private func fill(_ client: PostgresClient) async throws {
            try await client.script(
                """
                \(Self.nothingIsClosed)
                SELECT millrace.make_partition(m::date)
                FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC') - interval '24 months',
                                     date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month', interval '1 month') AS m;

                SELECT setval('millrace.events_id_seq', 2500);
                INSERT INTO millrace.events (
                    id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at
                )
                SELECT n, uuidv7(), CASE WHEN n % 7 = 0 THEN 'rare' ELSE 'usual' END, 'order', (n % 10)::text, n / 10, '{}',
                       now(), date_trunc('month', now(), 'UTC') + interval '1 hour'
                           - make_interval(months => 25 - (n + CASE n % 100 WHEN 99 THEN 2 WHEN 1 THEN -2 ELSE 0 END) / 100)
                FROM generate_series(100, 2499) AS n
                WHERE n NOT BETWEEN 1202 AND 1298;
                """
            )
        }

        @Test("every event is read once and in order across months whose positions overlap, whatever the page's size")
        func pagesAcrossMonths() async throws {
            try await withTestDatabase { client in
                try await fill(client)
                let expected = try await client.texts("SELECT e.id::text FROM millrace.events AS e ORDER BY e.id")
                try await Migrator(client: client).closeMonths()
                #expect(try await client.text("SELECT millrace.close_months()") == "closed")
                #expect(try await client.text("SELECT count(*)::text FROM millrace.closed_months") == "24")
                #expect(
                    try await client.text(
                        """
                        SELECT count(*)::text FROM millrace.closed_months AS a
                        JOIN millrace.closed_months AS b ON b.lower_bound = a.upper_bound AND b.first_position < a.last_position
                        """
                    ) != "0"
                )
                try await client.run("SELECT millrace.publish_event('last', '1', 'o', '{}')")
                for limit in [1, 7, 100, 5000] {
                    let read = try await client.texts(
                        """
                        WITH RECURSIVE pages AS (
                            SELECT 0 AS page, 0::bigint AS scanned_to, false AS is_last, NULL::bigint[] AS ids
                            UNION ALL
                            SELECT p.page + 1, r.scanned_to, r.is_last, r.ids
                            FROM pages AS p, LATERAL (
                                SELECT min(x.scanned_to) AS scanned_to, bool_or(x.is_last) AS is_last,
                                       array_agg(x.id ORDER BY x.id) AS ids
                                FROM millrace.read_page(p.scanned_to, \(limit)) AS x
                            ) AS r
                            WHERE NOT p.is_last
                        )
                        SELECT n.id::text FROM pages AS p, unnest(p.ids) WITH ORDINALITY AS n (id, index)
                        WHERE n.id IS NOT NULL ORDER BY p.page, n.index
                        """
                    )
                    #expect(read.dropLast() == expected[...], "pages of \(limit)")
                    #expect(read.count == expected.count + 1)
                }
                #expect(
                    try await client.texts("SELECT id::text FROM millrace.read_all(250, 5000)").dropLast()
                        == expected.filter { Int($0 ?? "") ?? 0 > 250 }[...]
                )
            }
        }

        @Test("a filter that matches little finds all of it, and ends")
        func filtered() async throws {
            try await withTestDatabase { client in
                try await fill(client)
                try await Migrator(client: client).closeMonths()
                let expected = try await client.texts(
                    "SELECT e.id::text FROM millrace.events AS e WHERE e.event_type = 'rare' ORDER BY e.id"
                )
                let store = EventStore(client)
                var read: [String?] = []
                for try await event in store.readAll(
                    matching: .eventTypes("rare"),
                    limits: PageLimits(events: 5, scanned: 60)
                ) {
                    read.append("\(event.position.rawValue)")
                }
                #expect(read == expected)
            }
        }

        @Test("a page opens the months it lies in, and none of the others")
        func pruned() async throws {
            try await withTestDatabase { client in
                try await fill(client)
                try await Migrator(client: client).closeMonths()
                let opened = try await client.withTransaction { transaction in
                    try await transaction.run("SELECT millrace.begin_page(250)")
                    return try await transaction.texts(
                        """
                        EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT e.id FROM millrace.events AS e
                        WHERE e.id > 250 AND e.id <= current_setting('millrace.page_up_to')::bigint
                          AND (e.created_at >= current_setting('millrace.page_open_since')::timestamptz
                               OR e.created_at >= current_setting('millrace.page_stored_from')::timestamptz
                                  AND e.created_at < current_setting('millrace.page_stored_before')::timestamptz)
                        ORDER BY e.id LIMIT 1000
                        """
                    )
                }
                let closed = opened.compactMap { $0 }.filter { $0.contains("Scan") && $0.contains("events_20") }
                // The month, its neighbour whose positions overlap, and the open ones: this month and three to come.
                #expect(closed.count == 6, "\(opened)")
            }
        }

        @Test("a month in which somebody may still store something is not closed, and what he stores is read")
        func busy() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.nothingIsClosed)
                try await client.withTransaction { publisher in
                    try await publisher.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                    #expect(try await client.text("SELECT millrace.close_months()") == "closing")
                    try await client.run("SELECT millrace.publish_event('b', '2', 'o', '{}')")
                    #expect(try await client.text("SELECT millrace.close_months()") == "busy")
                    #expect(try await client.text("SELECT count(*)::text FROM millrace.closed_months") == "0")
                }
                #expect(try await client.text("SELECT millrace.close_months()") == "closed")
                #expect(try await client.texts("SELECT event_type FROM millrace.read_page()") == ["a", "b"])
                #expect(try await client.text("SELECT millrace.last_committed_position()::text") == "2")
            }
        }

        @Test("a fence that has drawn nothing yet keeps a month open, though the horizon is at the end")
        func bareFence() async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                try await client.script(Self.nothingIsClosed)
                try await client.withTransaction { publisher in
                    try await publisher.run("SELECT millrace.fence()")
                    #expect(try await client.text("SELECT millrace.close_months()") == "closing")
                    #expect(try await client.text("SELECT millrace.close_months()") == "busy")
                }
                #expect(try await client.text("SELECT millrace.close_months()") == "closed")
            }
        }

        @Test("a page that ends before the last event of a closed month does not say that it is the last")
        func notTheLast() async throws {
            try await withTestDatabase { client in
                try await fill(client)
                try await Migrator(client: client).closeMonths()
                try await client.run("SELECT setval('millrace.events_id_seq', 2498)")
                let said = "SELECT bool_or(is_last)::text FROM millrace.read_page(2490, 3)"
                #expect(try await client.text(said) == "false")
                #expect(
                    try await client.text("SELECT bool_or(is_last)::text FROM millrace.read_page(2490, 50)") == "true"
                )
            }
        }

        @Test("the end of the log is found where the open month has no event")
        func endOfTheLog() async throws {
            try await withTestDatabase { client in
                try await fill(client)
                try await Migrator(client: client).closeMonths()
                #expect(try await client.text("SELECT millrace.last_committed_position()::text") == "2499")
                let page = try await EventStore(client).readPage(after: Position(2499))
                #expect(page.isLast && page.events.isEmpty && page.scannedTo == Position(2499))
            }
        }
    }
}
