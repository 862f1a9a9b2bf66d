import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    /// What a user's function makes of the events of an aggregate.
    @Suite("reducers")
    struct ReducerTests {
        /// Counts events; `gone` leaves no state, `boom` fails.
        static let count = """
            CREATE FUNCTION public.count_events(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE plpgsql AS $$
            BEGIN
                IF event.event_type = 'gone' THEN
                    RETURN NULL;
                ELSIF event.event_type = 'boom' THEN
                    RAISE EXCEPTION 'so be it' USING ERRCODE = 'P4242';
                ELSIF event.event_type = 'assert' THEN
                    ASSERT false, 'so be it';
                END IF;
                RETURN jsonb_build_object('n', coalesce((state ->> 'n')::int, 0) + 1, 'last', event.event_type);
            END
            $$
            """

        static func publish(_ client: PostgresClient, _ types: String..., stream: String = "1") async throws {
            for (index, type) in types.enumerated() {
                try await client.run(
                    """
                    SELECT millrace.append_events('{1}', '{\(type)}', '{o}', '{\(stream)}', ARRAY['{"\(type)": \(index)}']::jsonb[],
                        p_occurred_at => '{2017-01-\(index + 10)+00}')
                    """
                )
            }
        }

        private static func state(_ client: PostgresClient, _ more: String = "") async throws -> String? {
            try await client.text("SELECT millrace.rebuild_aggregate('o', '1'\(more))::text")
        }

        @Test("a registered reducer makes the state of its type, as of any version or time, and no other's")
        func reduces() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await Self.publish(client, "a", "b", "c")
                try await client.run("SELECT millrace.publish_event('a', '1', 'other', '{\"x\": 1}')")
                #expect(
                    try await client.text("SELECT millrace.register_reducer('o', 'public.count_events')")
                        == "registered"
                )
                #expect(try await Self.state(client) == #"{"n": 3, "last": "c"}"#)
                #expect(try await Self.state(client, ", 2") == #"{"n": 2, "last": "b"}"#)
                #expect(try await Self.state(client, ", p_at => '2017-01-10+00'") == #"{"n": 1, "last": "a"}"#)
                #expect(try await Self.state(client, ", p_at => '2016-01-01+00'") == nil)
                #expect(try await client.text("SELECT millrace.rebuild_aggregate('o', 'absent')::text") == nil)
                #expect(try await client.text("SELECT millrace.rebuild_aggregate('other', '1')::text") == #"{"x": 1}"#)
            }
        }

        @Test("a reducer is registered, present, replaced and removed")
        func registering() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await Self.publish(client, "a")
                func register(_ more: String = "") async throws -> String? {
                    try await client.text("SELECT millrace.register_reducer('o', 'count_events'\(more))")
                }
                #expect(try await register() == "registered")
                #expect(try await register() == "present")
                #expect(try await register(", '{\"n\": 41}'") == "replaced")
                #expect(try await Self.state(client) == #"{"n": 42, "last": "a"}"#)
                #expect(try await client.text("SELECT millrace.remove_reducer('o')::text") == "true")
                #expect(try await Self.state(client) == #"{"a": 0}"#)
                #expect(try await client.text("SELECT millrace.remove_reducer('o')::text") == "false")
            }
        }

        @Test("NULL is no state, and the next event finds it")
        func deletion() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await client.run("SELECT millrace.register_reducer('o', 'count_events', '{\"n\": 10}')")
                try await Self.publish(client, "a", "gone", "b")
                #expect(try await Self.state(client, ", 2") == nil)
                #expect(try await Self.state(client) == #"{"n": 1, "last": "b"}"#)
                let history = try await client.texts(
                    """
                    SELECT format('%s %s > %s', h.version, coalesce(h.state_before ->> 'n', '-'), coalesce(h.state ->> 'n', '-'))
                    FROM millrace.aggregate_history('o', '1') AS h ORDER BY h.version
                    """
                )
                #expect(history == ["1 10 > 11", "2 11 > -", "3 - > 1"])
            }
        }

        @Test("a reducer that fails says at which event, and what it said", arguments: ["boom", "assert"])
        func failing(type: String) async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await client.run("SELECT millrace.register_reducer('o', 'count_events')")
                try await Self.publish(client, "a", type, "b")
                let words = "public.count_events failed at version 2 of o/1 (position 2, \(type)): so be it"
                for call in ["rebuild_aggregate('o', '1')", "aggregate_history('o', '1')"] {
                    try await expectRefusal("MR024", words) { try await client.run("SELECT millrace.\(call)") }
                }
                #expect(try await Self.state(client, ", 1") == #"{"n": 1, "last": "a"}"#)
            }
        }

        @Test("a conflict of transactions in a reducer stays one, for those who repeat them")
        func serialization() async throws {
            try await withTestDatabase { client in
                try await client.script(
                    """
                    CREATE FUNCTION public.clash(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE plpgsql AS $$
                        BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END
                    $$;
                    SELECT millrace.register_reducer('o', 'clash');
                    """
                )
                try await Self.publish(client, "a")
                try await expectRefusal("40001") { _ = try await Self.state(client) }
            }
        }

        @Test(
            "a function that is no reducer is refused with what is wrong",
            arguments: [
                ("absent", "does not exist with two arguments"), ("no name(", "does not exist"),
                (
                    "handler(millrace.events)",
                    "does not take exactly two arguments of the types jsonb and millrace.events"
                ),
                ("swapped(millrace.events, jsonb)", "does not take exactly two arguments"),
                ("speaks", "does not return jsonb"), ("many", "does not return jsonb"),
                ("definer", "is SECURITY DEFINER"),
                ("strict", "is STRICT"), ("millrace.inside", "lies in the schema millrace"),
            ]
        )
        func shapes(name: String, problem: String) async throws {
            try await withTestDatabase { client in
                let body = "LANGUAGE sql AS $$ SELECT state $$"
                try await client.script(
                    """
                    CREATE FUNCTION public.handler(state millrace.events) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
                    CREATE FUNCTION public.swapped(event millrace.events, state jsonb) RETURNS jsonb \(body);
                    CREATE FUNCTION public.speaks(state jsonb, event millrace.events) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
                    CREATE FUNCTION public.many(state jsonb, event millrace.events) RETURNS SETOF jsonb \(body);
                    CREATE FUNCTION public.definer(state jsonb, event millrace.events) RETURNS jsonb SECURITY DEFINER \(body);
                    CREATE FUNCTION public.strict(state jsonb, event millrace.events) RETURNS jsonb STRICT \(body);
                    CREATE FUNCTION millrace.inside(state jsonb, event millrace.events) RETURNS jsonb \(body);
                    """
                )
                try await expectRefusal("MR018", problem) {
                    try await client.run("SELECT millrace.register_reducer('o', '\(name)')")
                }
                #expect(try await client.texts("SELECT r.function FROM millrace.aggregate_reducers AS r").isEmpty)
            }
        }

        @Test("a reducer that is gone, or has become another, is refused when it is needed")
        func changedLater() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await client.run("SELECT millrace.register_reducer('o', 'count_events')")
                try await Self.publish(client, "a")
                try await client.run("ALTER FUNCTION public.count_events SECURITY DEFINER")
                try await expectRefusal("MR018", "is SECURITY DEFINER") { _ = try await Self.state(client) }
                try await client.run("DROP FUNCTION public.count_events")
                try await expectRefusal("MR018", "does not exist") { _ = try await Self.state(client) }
            }
        }

        @Test("an aggregate type that is no name is refused", arguments: ["NULL", "''", "repeat('x', 256)"])
        func names(type: String) async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await expectRefusal("MR001", "p_aggregate_type") {
                    try await client.run("SELECT millrace.register_reducer(\(type), 'count_events')")
                }
            }
        }

        @Test("an aggregate is rebuilt in a read-only transaction, with a reducer too")
        func readOnly() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.count)
                try await client.run("SELECT millrace.register_reducer('o', 'count_events')")
                try await Self.publish(client, "a")
                try await client.withTransaction(PostgresTransactionMode(readOnly: true)) { transaction async throws in
                    let state = try await transaction.text("SELECT millrace.rebuild_aggregate('o', '1') ->> 'n'")
                    #expect(state == "1")
                }
            }
        }

        @Test("a history goes from a version to a version, in pages that fit together")
        func history() async throws {
            try await withTestDatabase { client in
                try await Self.publish(client, "a", "b", "c", "d", "e")
                func versions(_ more: String) async throws -> [String?] {
                    try await client.texts(
                        """
                        SELECT format('%s %s %s', h.version, (SELECT count(*) FROM jsonb_object_keys(coalesce(h.state_before, '{}'))),
                            (SELECT count(*) FROM jsonb_object_keys(h.state)))
                        FROM millrace.aggregate_history('o', '1'\(more)) AS h
                        """
                    )
                }
                let all = ["1 0 1", "2 1 2", "3 2 3", "4 3 4", "5 4 5"]
                #expect(try await versions("") == all)
                #expect(try await versions(", 2, 4") == Array(all[1...3]))
                #expect(try await versions(", 3, p_limit => 1") == [all[2]])
                #expect(try await versions(", p_limit => 0").isEmpty)
                #expect(try await versions(", NULL, NULL, NULL").isEmpty)
                #expect(try await versions(", 4, p_at => '2017-01-13+00'") == [all[3]])
                #expect(try await versions(", 9").isEmpty)
                #expect(
                    try await client.texts("SELECT h.event_type FROM millrace.aggregate_history('o', 'absent') AS h")
                        .isEmpty
                )
            }
        }

        @Test("what happened later is left out of the middle of a history, and of the states after it")
        func historyAsOf() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    """
                    SELECT millrace.append_events('{1,1,1}', '{a,late,b}', '{o,o,o}', '{1,1,1}',
                        ARRAY['{"a": 1}', '{"late": 1}', '{"b": 1}']::jsonb[], p_occurred_at => '{2017-01-01+00,2019-01-01+00,2017-02-01+00}')
                    """
                )
                let states = try await client.texts(
                    """
                    SELECT format('%s %s', h.version, h.state) FROM millrace.aggregate_history('o', '1', p_limit => 2, p_at => '2018-01-01+00') AS h
                    """
                )
                #expect(states == [#"1 {"a": 1}"#, #"3 {"a": 1, "b": 1}"#])
            }
        }

        @Test(
            "two states differ where a key, an index or a value does",
            arguments: [
                (#"{"a": 1}"#, #"{"a": 1.0}"#, []),
                (#"{"a": 1}"#, #"{"a": 2, "b": null}"#, [#"a 1 2"#, "b - null"]),
                (#"{"a": null}"#, "{}", ["a null -"]),
                (
                    #"{"c": {"a": [{"x": 1}, {"x": 2}, {"city": "P"}]}}"#,
                    #"{"c": {"a": [{"x": 1}, {"x": 3}, {"city": "L"}, 4]}}"#,
                    [#"c.a[1].x 2 3"#, #"c.a[2].city "P" "L""#, "c.a[3] - 4"]
                ),
                (#"{"a": {}}"#, #"{"a": []}"#, ["a {} []"]),
                (#"{"a": [1, 2]}"#, #"{"a": []}"#, ["a[0] 1 -", "a[1] 2 -"]),
                (
                    #"{"first name": 1, "a.b": 1, "a[0]": 1, "": 1, "Straße": 1}"#, "{}",
                    [#"[""] 1 -"#, #"Straße 1 -"#, #"["a.b"] 1 -"#, #"["a[0]"] 1 -"#, #"["first name"] 1 -"#]
                ),
                ("[1]", "[2]", ["[0] 1 2"]), ("1", "2", [" 1 2"]), ("{}", "[]", [" {} []"]),
            ]
        )
        func differences(before: String, after: String, expected: [String]) async throws {
            try await withTestDatabase { client in
                let found = try await client.texts(
                    """
                    SELECT concat(d.path, ' ', coalesce(d.before::text, '-'), ' ', coalesce(d.after::text, '-'))
                    FROM millrace.state_difference('\(before)', '\(after)') AS d
                    """
                )
                #expect(found == expected)
            }
        }

        @Test("no state is compared as one without keys, and indexes are sorted as numbers")
        func differencesOfNothing() async throws {
            try await withTestDatabase { client in
                func paths(_ states: String) async throws -> [String?] {
                    try await client.texts("SELECT d.path FROM millrace.state_difference(\(states)) AS d")
                }
                let begun = try await paths(#"NULL, '{"a": 1, "b": {"c": 2}}'"#)
                #expect(begun == ["a", "b"])
                let gone = try await paths(#"'{"a": 1}', NULL"#)
                #expect(gone == ["a"])
                let empty = try await paths("NULL, '{}'")
                #expect(empty == [""])
                let nothing = try await paths("NULL, NULL")
                #expect(nothing.isEmpty)
                let many = "(SELECT jsonb_build_object('n', jsonb_agg(i)) FROM generate_series(1, 12) AS i)"
                let indexes = try await paths("'{\"n\": []}', \(many)")
                #expect(indexes == (0..<12).map { "n[\($0)]" })
            }
        }
    }
}
