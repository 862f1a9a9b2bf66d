import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("append_events")
    struct AppendEventsTests {
        struct Outcome: Equatable {
            var request: Int32
            var outcome: String
            var positions: [Int64]?
            var versions: [Int32]?
            var conflicts: String?

            init(
                _ request: Int32,
                _ outcome: String,
                _ positions: [Int64]? = nil,
                _ versions: [Int32]? = nil,
                _ conflicts: String? = nil
            ) {
                self.request = request
                self.outcome = outcome
                self.positions = positions
                self.versions = versions
                self.conflicts = conflicts
            }
        }

        /// One element an event: its request, its stream `order <id>`; every event has the number of its place as data.
        static func append(
            _ session: some PostgresSession,
            _ requests: String,
            _ streams: String,
            ids: String? = nil,
            expect: [(request: Int, stream: String, version: Int)] = []
        ) async throws -> [Outcome] {
            func array(_ values: [String]) -> String { "'{\(values.joined(separator: ","))}'" }
            let events = requests.split(separator: ",").count
            var sql = """
                SELECT request, outcome, positions, versions, conflicts::text FROM millrace.append_events(
                    '{\(requests)}', array_fill('tested'::text, ARRAY[\(events)]), array_fill('order'::text, ARRAY[\(events)]),
                    '{\(streams)}', ARRAY(SELECT to_jsonb(n) FROM generate_series(1, \(events)) AS n)
                """
            if let ids { sql += ", p_event_ids => ARRAY[\(ids)]::uuid[]" }
            if !expect.isEmpty {
                sql += """
                    , p_expect_requests => \(array(expect.map { "\($0.request)" })),
                    p_expect_aggregate_types => array_fill('order'::text, ARRAY[\(expect.count)]),
                    p_expect_aggregate_ids => \(array(expect.map(\.stream))),
                    p_expect_versions => \(array(expect.map { "\($0.version)" }))
                    """
            }
            return try await session.query(PostgresStatement(sql + ")", prepared: false)).map { row in
                Outcome(
                    try row.decode(Int32.self, at: 0),
                    try row.decode(String.self, at: 1),
                    try row.decode([Int64]?.self, at: 2),
                    try row.decode([Int32]?.self, at: 3),
                    try row.decode(String?.self, at: 4)
                )
            }
        }

        /// Event ids that can be told apart by their last digit.
        static func id(_ number: Int) -> String { "'01a208a5-3b1d-7658-9dd8-00000000000\(number)'" }

        static func conflict(_ stream: String, expected: Int, actual: Int) -> String {
            #"{"actual": \#(actual), "expected": \#(expected), "aggregate_id": "\#(stream)", "aggregate_type": "order"}"#
        }

        @Test("requests over several streams get positions in event order and versions without gaps")
        func appends() async throws {
            try await withTestDatabase { client async throws in
                #expect(
                    try await Self.append(client, "1,1,2,1", "a,b,a,a") == [
                        Outcome(1, "appended", [1, 2, 4], [1, 1, 3]), Outcome(2, "appended", [3], [2]),
                    ]
                )
                #expect(
                    try await client.text("SELECT string_agg(event_data::text, ',' ORDER BY id) FROM millrace.events")
                        == "1,2,3,4"
                )
                #expect(
                    try await client.text(
                        "SELECT string_agg(aggregate_id || version, ' ' ORDER BY aggregate_id) FROM millrace.streams"
                    ) == "a3 b1"
                )
            }
        }

        @Test("all conflicts of a request are reported, nothing of it is stored, and the other requests do not mind")
        func conflicts() async throws {
            try await withTestDatabase { client in
                _ = try await Self.append(client, "1,1,1", "a,a,b")
                let outcomes = try await Self.append(
                    client,
                    "5,5,6",
                    "a,new,c",
                    expect: [(5, "a", 1), (5, "b", 0), (5, "c", -1), (5, "new", 0), (6, "c", 0)]
                )
                #expect(
                    outcomes == [
                        Outcome(
                            5,
                            "conflict",
                            nil,
                            nil,
                            "[\(Self.conflict("a", expected: 1, actual: 2)), \(Self.conflict("b", expected: 0, actual: 1)), \(Self.conflict("c", expected: -1, actual: 0))]"
                        ),
                        Outcome(6, "appended", [4], [1]),
                    ]
                )
                #expect(
                    try await client.text(
                        "SELECT string_agg(aggregate_id || version, ' ' ORDER BY aggregate_id) FROM millrace.streams"
                    ) == "a2 b1 c1"
                )
            }
        }

        @Test("requests of one call that share a stream take effect in their order")
        func entangled() async throws {
            try await withTestDatabase { client in
                let outcomes = try await Self.append(
                    client,
                    "3,3,1,2,4",
                    "a,a,a,a,b",
                    expect: [(3, "a", 0), (1, "a", 2), (2, "a", 2), (4, "a", 3)]
                )
                #expect(
                    outcomes == [
                        Outcome(3, "appended", [1, 2], [1, 2]), Outcome(1, "appended", [3], [3]),
                        Outcome(2, "conflict", nil, nil, "[\(Self.conflict("a", expected: 2, actual: 3))]"),
                        Outcome(4, "appended", [4], [1]),
                    ]
                )
            }
        }

        @Test("a request's events need not stand together")
        func interleaved() async throws {
            try await withTestDatabase { client in
                let outcomes = try await Self.append(
                    client,
                    "1,2,1,2",
                    "a,a,b,b",
                    expect: [(1, "a", 0), (2, "a", 1), (2, "b", 1)]
                )
                #expect(
                    outcomes == [Outcome(1, "appended", [1, 2], [1, 1]), Outcome(2, "appended", [3, 4], [2, 2])]
                )
                #expect(
                    try await client.text("SELECT string_agg(event_data::text, ',' ORDER BY id) FROM millrace.events")
                        == "1,3,2,4"
                )
            }
        }

        @Test("expectations of streams that are not written are held against, and leave no row")
        func expectationsOnly() async throws {
            try await withTestDatabase { client async throws in
                #expect(
                    try await Self.append(client, "1", "a", expect: [(1, "absent", 0)]) == [
                        Outcome(1, "appended", [1], [1])
                    ]
                )
                #expect(
                    try await Self.append(client, "1", "b", expect: [(1, "a", -1), (1, "absent", 1)]) == [
                        Outcome(1, "conflict", nil, nil, "[\(Self.conflict("absent", expected: 1, actual: 0))]")
                    ]
                )
                #expect(try await client.texts("SELECT aggregate_id FROM millrace.streams") == ["a"])
            }
        }

        @Test("a repeated request returns its original positions, though its expectation would fail by now")
        func duplicate() async throws {
            try await withTestDatabase { client in
                let ids = "\(Self.id(1)), \(Self.id(2))"
                let first = try await Self.append(client, "1,1", "a,b", ids: ids, expect: [(1, "a", 0)])
                _ = try await Self.append(client, "1", "a")
                let again = try await Self.append(client, "1,1", "a,b", ids: ids, expect: [(1, "a", 0)])
                #expect(first == [Outcome(1, "appended", [1, 2], [1, 1])])
                #expect(again == [Outcome(1, "duplicate", [1, 2], [1, 1])])
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "3")
            }
        }

        @Test("a repeated request in a batch with a new one, and twice in one batch")
        func duplicatesInABatch() async throws {
            try await withTestDatabase { client in
                _ = try await Self.append(client, "1", "a", ids: Self.id(1))
                // Which positions are new is not said: a call that repeats something has drawn some before it was noticed.
                let mixed = try await Self.append(client, "1,2,2", "a,a,b", ids: "\(Self.id(1)), \(Self.id(2)), NULL")
                #expect(mixed.map(\.outcome) == ["duplicate", "appended"])
                #expect(mixed.map(\.versions) == [[1], [2, 1]])
                #expect(mixed[0].positions == [1])
                let twice = try await Self.append(client, "1,2", "c,c", ids: "\(Self.id(5)), \(Self.id(5))")
                #expect(twice.map(\.outcome) == ["appended", "duplicate"])
                #expect(twice.map(\.versions) == [[1], [1]])
                #expect(twice[0].positions == twice[1].positions)
                #expect(
                    try await client.texts("SELECT e.id::text FROM millrace.events AS e ORDER BY e.id").compactMap {
                        $0.flatMap(Int64.init)
                    }
                        == [1] + (mixed[1].positions ?? []) + (twice[0].positions ?? [])
                )
            }
        }

        @Test(
            "a partly repeated request is an outcome of its own",
            arguments: [("1,1", "a,a", [1, 2]), ("1", "other", [1]), ("1,1", "a,a", [3, 3])]
        )
        func partlyRepeated(requests: String, streams: String, ids: [Int]) async throws {
            try await withTestDatabase { client in
                _ = try await Self.append(client, "1", "a", ids: Self.id(1))
                let list = ids.map(Self.id).joined(separator: ", ")
                #expect(try await Self.append(client, requests, streams, ids: list) == [Outcome(1, "partly_repeated")])
                let mixed = try await Self.append(client, requests + ",2", streams + ",a", ids: list + ", NULL")
                #expect(mixed.map(\.outcome) == ["partly_repeated", "appended"])
                #expect(mixed.map(\.versions) == [nil, [2]])
                #expect(try await client.texts("SELECT aggregate_id FROM millrace.streams") == ["a"])
            }
        }

        @Test("a retry is recognised when the month has ended in between", arguments: [true, false])
        func retryAcrossMonths(versionSeven: Bool) async throws {
            try await withTestDatabase { client in
                let id = versionSeven ? "uuidv7()" : "gen_random_uuid()"
                let text = try await client.text("SELECT \(id)::text")
                let quoted = "'\(text ?? "")'"
                #expect(try await Self.append(client, "1", "a", ids: quoted) == [Outcome(1, "appended", [1], [1])])
                try await client.run(
                    "UPDATE millrace.store SET open_since = date_trunc('month', now(), 'UTC') + interval '40 days'"
                )
                #expect(try await Self.append(client, "1", "a") == [Outcome(1, "appended", [2], [2])])
                #expect(try await client.text("SELECT count(DISTINCT tableoid)::text FROM millrace.events") == "2")
                #expect(try await Self.append(client, "1", "a", ids: quoted) == [Outcome(1, "duplicate", [1], [1])])
            }
        }

        @Test("a UUIDv7 of a clock that runs ahead is recognised all the same")
        func idFromTheFuture() async throws {
            try await withTestDatabase { client in
                let id = "'\(try await client.text("SELECT uuidv7(interval '400 days')::text") ?? "")'"
                #expect(try await Self.append(client, "1", "a", ids: id) == [Outcome(1, "appended", [1], [1])])
                #expect(try await Self.append(client, "1", "a", ids: id) == [Outcome(1, "duplicate", [1], [1])])
            }
        }

        @Test("opaque payloads are stored beside JSON null, metadata and times as given")
        func payloads() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    """
                    SELECT millrace.append_events('{1}', '{a}', '{order}', '{1}', ARRAY[NULL]::jsonb[],
                        p_metadata => ARRAY['{"k": 1}']::jsonb[], p_occurred_at => '{2017-10-02 10:56:33+00}',
                        p_payloads => ARRAY['\\x00ff'::bytea], p_content_types => '{application/octet-stream}')
                    """
                )
                let stored = try await client.text(
                    """
                    SELECT format('%s %s %s %s %s', event_data, metadata, occurred_at AT TIME ZONE 'UTC', payload, content_type)
                    FROM millrace.events
                    """
                )
                #expect(stored == #"null {"k": 1} 2017-10-02 10:56:33 \x00ff application/octet-stream"#)
            }
        }

        @Test("of 16 writers with an expected version exactly one wins each")
        func racing() async throws {
            try await withTestDatabase { client in
                let wins = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<16 {
                        group.addTask {
                            var won = 0
                            for version in 0..<20 {
                                let outcome = try await Self.append(client, "1", "a", expect: [(1, "a", version)])
                                if outcome[0].outcome == "appended" { won += 1 }
                            }
                            return won
                        }
                    }
                    return try await group.reduce(0, +)
                }
                let stored = try await client.text(
                    "SELECT format('%s %s', count(*), max(version)) FROM millrace.events"
                )
                #expect(stored == "\(wins) \(wins)")
                #expect(wins >= 1)
            }
        }

        @Test("calls that name the same streams in opposite orders never deadlock")
        func fixedLockOrder() async throws {
            try await withTestDatabase { client in
                let forwards = "a,b,c,d,e,f,g,h"
                let backwards = "h,g,f,e,d,c,b,a"
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for writer in 0..<8 {
                        group.addTask {
                            for round in 0..<25 {
                                let suffix = "\(round / 5)"
                                let streams = (writer.isMultiple(of: 2) ? forwards : backwards)
                                    .split(separator: ",").map { $0 + suffix }.joined(separator: ",")
                                let outcome = try await Self.append(client, "1,1,1,1,1,1,1,1", streams)
                                #expect(outcome[0].outcome == "appended")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "1600")
            }
        }

        @Test("streams that were locked in order, new ones too, keep other transactions waiting")
        func lockStreams() async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { transaction in
                    try await transaction.run("SELECT millrace.lock_streams('{order,order}', '{b,a}')")
                    #expect(try await client.text("SELECT count(*)::text FROM millrace.streams") == "0")
                    for stream in ["a", "b"] {
                        try await expectRefusal("55P03") {
                            try await client.withTransaction { other in
                                try await other.run("SET LOCAL lock_timeout = '20ms'")
                                _ = try await Self.append(other, "1", stream)
                            }
                        }
                    }
                    #expect(
                        try await Self.append(transaction, "1", "b", expect: [(1, "b", 0)])[0].outcome == "appended"
                    )
                }
                #expect(try await client.texts("SELECT aggregate_id FROM millrace.streams") == ["b"])
            }
        }

        @Test("plans look streams and ids up by index, however small or unanalysed the tables are")
        func worksInProportion() async throws {
            try await withTestDatabase { client in
                try await client.script("ANALYZE millrace.streams; ANALYZE millrace.events")
                try await client.withConnection { connection in
                    for batch in 0..<10 {
                        try await connection.run(
                            """
                            SELECT count(*) FROM millrace.append_events(
                                ARRAY(SELECT n FROM generate_series(1, 500) AS n), array_fill('t'::text, ARRAY[500]),
                                array_fill('o'::text, ARRAY[500]), ARRAY(SELECT '\(batch)-' || n FROM generate_series(1, 500) AS n),
                                array_fill('1'::jsonb, ARRAY[500]), p_event_ids => ARRAY(SELECT uuidv7() FROM generate_series(1, 500)))
                            """
                        )
                    }
                }
                try await client.run("SELECT pg_stat_force_next_flush()")
                let scanned = try await client.text(
                    "SELECT sum(seq_tup_read)::text FROM pg_stat_user_tables WHERE relname = 'streams' OR relname LIKE 'events%'"
                )
                #expect(scanned == "0")
                // Every lookup finds at most the one row it asked for: three a stream, none that reads an index from end to end.
                let found = try await client.text(
                    "SELECT (idx_tup_fetch <= 30000)::text FROM pg_stat_user_tables WHERE relname = 'streams'"
                )
                #expect(found == "true")
            }
        }
    }
}
