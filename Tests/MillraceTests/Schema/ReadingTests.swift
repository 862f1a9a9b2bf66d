import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("reading")
    struct ReadingTests {
        /// Ten events: types x and y in turn, aggregate types even and odd, one stream for each.
        static func fill(_ client: PostgresClient) async throws {
            try await client.run(
                """
                SELECT count(millrace.publish_event(
                    CASE n % 2 WHEN 0 THEN 'x' ELSE 'y' END, '1', CASE n % 3 WHEN 0 THEN 'third' ELSE 'other' END, to_jsonb(n)
                )) FROM generate_series(1, 10) AS n
                """
            )
        }

        static func page(_ session: some PostgresSession, _ arguments: String) async throws -> (
            scannedTo: Int64?, ids: [Int64?]
        ) {
            let rows = try await session.query(
                PostgresStatement("SELECT scanned_to, id FROM millrace.read_page(\(arguments))", prepared: false)
            )
            let ids = try rows.map { try $0.decode(Int64?.self, at: 1) }
            let scanned = try Set(rows.map { try $0.decode(Int64.self, at: 0) })
            #expect(scanned.count == 1)
            return (scanned.first, ids)
        }

        @Test("read_all reads in position order, with filters, after a position")
        func readAll() async throws {
            try await withTestDatabase { client in
                try await Self.fill(client)
                #expect(try await client.texts("SELECT id::text FROM millrace.read_all()") == (1...10).map { "\($0)" })
                #expect(try await client.texts("SELECT id::text FROM millrace.read_all(3, 2)") == ["4", "5"])
                #expect(
                    try await client.texts("SELECT id::text FROM millrace.read_all(0, 100, '{x}')") == [
                        "2", "4", "6", "8", "10",
                    ]
                )
                #expect(
                    try await client.texts("SELECT id::text FROM millrace.read_all(0, 100, '{x,y}', '{third}')") == [
                        "3", "6", "9",
                    ]
                )
                #expect(try await client.texts("SELECT id::text FROM millrace.read_all(0, 100, '{nope}')").isEmpty)
            }
        }

        @Test("read_page says how far it looked, matching or not")
        func readPage() async throws {
            try await withTestDatabase { client in
                #expect(try await Self.page(client, "") == (0, [nil]))
                #expect(try await Self.page(client, "7") == (7, [nil]))
                try await Self.fill(client)
                #expect(try await Self.page(client, "") == (10, (1...10).map { $0 }))
                #expect(try await Self.page(client, "3, 2") == (5, [4, 5]))
                #expect(try await Self.page(client, "10") == (10, [nil]))
                #expect(try await Self.page(client, "0, 2, '{x}'") == (4, [2, 4]))
                #expect(try await Self.page(client, "0, 100, '{x}'") == (10, [2, 4, 6, 8, 10]))
                #expect(try await Self.page(client, "0, 100, '{nope}'") == (10, [nil]))
                #expect(try await Self.page(client, "0, 100, '{nope}', NULL, 4") == (4, [nil]))
                #expect(try await Self.page(client, "4, 100, '{x}', NULL, 3") == (7, [6]))
                #expect(try await Self.page(client, "0, 100, NULL, '{third}', 7") == (7, [3, 6]))
            }
        }

        @Test("scanned_to is the position of a committed event, not the horizon")
        func scannedToIsCommitted() async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                struct Abandoned: Error {}
                await #expect(throws: Abandoned.self) {
                    try await client.withTransaction { transaction in
                        for _ in 0..<5 {
                            try await transaction.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                        }
                        throw Abandoned()
                    }
                }
                let row = try await client.query("SELECT scanned_to, horizon FROM millrace.read_page()").single()
                let (scanned, horizon) = try row.decode(Int64.self, Int64.self)
                #expect(scanned == 1 && horizon == 6)
            }
        }

        @Test("a stream is read forwards and backwards, from and to any version")
        func readStream() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    "SELECT count(millrace.publish_event('a', '1', 'o', '{}')) FROM generate_series(1, 9)"
                )
                func versions(_ arguments: String) async throws -> String? {
                    try await client.text(
                        "SELECT string_agg(version::text, '') FROM millrace.read_stream('o', '1'\(arguments))"
                    )
                }
                #expect(try await versions("") == "123456789")
                #expect(try await versions(", 4, 3") == "456")
                #expect(try await versions(", NULL, 100, true") == "987654321")
                #expect(try await versions(", 5, 2, true") == "54")
                #expect(try await versions(", 3, 100, false, 5") == "345")
                #expect(try await versions(", 7, 100, true, 5") == "765")
                #expect(try await versions(", 10") == nil)
                #expect(try await client.text("SELECT count(*)::text FROM millrace.read_stream('o', 'absent')") == "0")
            }
        }

        @Test(
            "the log is refused in a transaction with one snapshot",
            arguments: [
                PostgresTransactionMode.Isolation.repeatableRead, .serializable,
            ]
        )
        func isolation(level: PostgresTransactionMode.Isolation) async throws {
            try await withTestDatabase { client in
                for function in ["read_all", "read_page"] {
                    try await expectRefusal("MR005", "snapshot") {
                        try await client.withTransaction(PostgresTransactionMode(isolation: level)) { transaction in
                            try await transaction.run("SELECT * FROM millrace.\(function)()")
                        }
                    }
                }
            }
        }

        @Test("the log is read in a read-only transaction")
        func readOnly() async throws {
            try await withTestDatabase { client in
                try await Self.fill(client)
                try await client.withTransaction(PostgresTransactionMode(readOnly: true)) { transaction async throws in
                    #expect(try await transaction.text("SELECT count(*)::text FROM millrace.read_all()") == "10")
                }
            }
        }

        @Test("an aggregate is its events' objects merged, as of any version or time")
        func rebuild() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    """
                    SELECT millrace.append_events('{1,1,1,1}', '{a,b,c,d}', '{o,o,o,o}', '{1,1,1,1}',
                        ARRAY['{"a": 1, "b": 1}', '{"b": 2}', '"no object"', '{"c": 4}']::jsonb[],
                        p_occurred_at => '{2017-01-01+00,2017-02-01+00,2017-03-01+00,2017-04-01+00}')
                    """
                )
                func state(_ more: String) async throws -> String? {
                    try await client.text("SELECT millrace.rebuild_aggregate('o', '1'\(more))::text")
                }
                #expect(try await state("") == #"{"a": 1, "b": 2, "c": 4}"#)
                #expect(try await state(", 1") == #"{"a": 1, "b": 1}"#)
                #expect(try await state(", p_at => '2017-03-15+00'") == #"{"a": 1, "b": 2}"#)
                #expect(try await state(", p_at => '2016-01-01+00'") == nil)
                #expect(try await client.text("SELECT millrace.rebuild_aggregate('o', 'absent')::text") == nil)
                try await client.run("SELECT millrace.publish_event('a', '2', 'o', '[1]')")
                #expect(try await client.text("SELECT millrace.rebuild_aggregate('o', '2')::text") == "{}")
            }
        }

        @Test("a page of the log is read by index and stops early, though the tables were never analysed")
        func readsByIndex() async throws {
            try await withTestDatabase { client in
                try await client.script("ANALYZE millrace.events")
                try await client.run(
                    """
                    SELECT count(*) FROM millrace.append_events(array_fill(1, ARRAY[5000]), array_fill('t'::text, ARRAY[5000]),
                        array_fill('o'::text, ARRAY[5000]), array_fill('1'::text, ARRAY[5000]), array_fill('1'::jsonb, ARRAY[5000]))
                    """
                )
                try await client.withConnection { connection in
                    for after in 0..<10 {
                        #expect(try await Self.page(connection, "\(after * 100), 100").ids.count == 100)
                        try await connection.run("SELECT count(*) FROM millrace.read_all(\(after * 100), 100)")
                        try await connection.run(
                            "SELECT count(*) FROM millrace.read_stream('o', '1', \(after * 100), 100)"
                        )
                    }
                    try await connection.run("SELECT pg_stat_force_next_flush()")
                }
                let read = try await client.text(
                    """
                    SELECT format('%s %s', sum(seq_tup_read), sum(idx_tup_fetch) BETWEEN 1 AND 4000)
                    FROM pg_stat_user_tables WHERE relname LIKE 'events%'
                    """
                )
                #expect(read == "0 t")
            }
        }
    }
}
