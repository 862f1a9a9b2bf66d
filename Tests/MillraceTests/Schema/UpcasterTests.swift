import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    /// What old events mean now, said by functions of the database.
    @Suite("upcasters")
    struct UpcasterTests {
        /// `made` of version 1 gets a currency, of version 2 its cents; then it is `created`. `both` becomes `paid` and `packed`.
        private static let functions = """
            CREATE FUNCTION public.made_1(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
            BEGIN
                event.event_data := event.event_data || '{"currency": "BRL"}';
                RETURN NEXT event;
            END
            $$;
            CREATE FUNCTION public.made_2(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
            BEGIN
                event.event_data := event.event_data - 'price' || jsonb_build_object('cents', (event.event_data ->> 'price')::numeric * 100);
                event.metadata := event.metadata || '{"schema_version": 3}';
                RETURN NEXT event;
            END
            $$;
            CREATE FUNCTION public.made(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
            BEGIN
                event.event_type := 'created';
                event.metadata := event.metadata - 'schema_version';
                event.id := 0; event.version := 99; event.aggregate_id := 'elsewhere';
                RETURN NEXT event;
            END
            $$;
            CREATE FUNCTION public.both(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
            BEGIN
                event.event_type := 'paid'; event.event_data := '{"paid": true}';
                RETURN NEXT event;
                event.event_type := 'packed'; event.event_data := '{"packed": true}';
                RETURN NEXT event;
            END
            $$;
            CREATE FUNCTION public.nothing(event millrace.events) RETURNS SETOF millrace.events LANGUAGE sql AS $$ SELECT event.* LIMIT 0 $$;
            SELECT millrace.register_upcaster('made', 'made_1', 1), millrace.register_upcaster('made', 'public.made_2', 2),
                   millrace.register_upcaster('made', 'made(millrace.events)', NULL, '{created}'),
                   millrace.register_upcaster('both', 'both', p_into => '{packed,paid}'),
                   millrace.register_upcaster('noise', 'nothing', NULL, '{}');
            """

        private static func lifted(_ session: some PostgresSession, _ stream: String = "1") async throws -> [String?] {
            try await session.texts(
                """
                SELECT format('%s %s/%s v%s %s %s %s', e.id, e.aggregate_type, e.aggregate_id, e.version, u.event_type, u.event_data,
                    u.metadata)
                FROM millrace.read_stream('o', '\(stream)') AS e
                CROSS JOIN LATERAL millrace.upcast_event(millrace.upcaster_calls(), e) AS u
                WHERE (u.id, u.event_id, u.version, u.aggregate_id) = (e.id, e.event_id, e.version, e.aggregate_id)
                """
            )
        }

        private static func publish(
            _ session: some PostgresSession,
            _ type: String,
            _ data: String = "{}",
            _ metadata: String = "{}"
        ) async throws {
            try await session.run("SELECT millrace.publish_event('\(type)', '1', 'o', '\(data)', '\(metadata)')")
        }

        @Test("an old event is lifted step by step, renamed, split or dropped, and keeps its place")
        func steps() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.functions)
                try await Self.publish(client, "made", #"{"price": 12.5}"#)
                try await Self.publish(client, "made", #"{"price": 1, "currency": "EUR"}"#, #"{"schema_version": 2}"#)
                try await Self.publish(client, "made", #"{"cents": 7}"#, #"{"schema_version": 3, "k": 1}"#)
                try await Self.publish(client, "both")
                try await Self.publish(client, "noise")
                try await Self.publish(client, "other", #"{"x": 1}"#)
                #expect(
                    try await Self.lifted(client) == [
                        #"1 o/1 v1 created {"cents": 1250.0, "currency": "BRL"} {}"#,
                        #"2 o/1 v2 created {"cents": 100, "currency": "EUR"} {}"#,
                        #"3 o/1 v3 created {"cents": 7} {"k": 1}"#,
                        #"4 o/1 v4 paid {"paid": true} {}"#, #"4 o/1 v4 packed {"packed": true} {}"#,
                        #"6 o/1 v6 other {"x": 1} {}"#,
                    ]
                )
                #expect(try await client.text("SELECT event_type FROM millrace.read_stream('o', '1', 1, 1)") == "made")
            }
        }

        @Test("a rebuilt state and a history are those of the lifted events")
        func states() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.functions)
                try await Self.publish(client, "made", #"{"price": 3}"#)
                try await Self.publish(client, "both")
                try await Self.publish(client, "noise", #"{"noise": 1}"#)
                let merged = #"{"paid": true, "cents": 300, "packed": true, "currency": "BRL"}"#
                #expect(try await client.text("SELECT millrace.rebuild_aggregate('o', '1')::text") == merged)
                try await client.script(ReducerTests.count + "; SELECT millrace.register_reducer('o', 'count_events')")
                #expect(
                    try await client.text("SELECT millrace.rebuild_aggregate('o', '1')::text")
                        == #"{"n": 3, "last": "packed"}"#
                )
                let history = try await client.texts(
                    "SELECT format('%s %s', h.event_type, h.state ->> 'n') FROM millrace.aggregate_history('o', '1') AS h"
                )
                #expect(history == ["made 1", "both 3", "noise 3"])
                try await client.run(
                    "SELECT millrace.remove_upcaster('made'), millrace.remove_upcaster('both'), millrace.remove_upcaster('noise')"
                )
                #expect(
                    try await client.text("SELECT millrace.rebuild_aggregate('o', '1')::text")
                        == #"{"n": 3, "last": "noise"}"#
                )
            }
        }

        @Test("an aggregate of dropped events only has no state")
        func allDropped() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.functions)
                try await Self.publish(client, "noise", #"{"noise": 1}"#)
                #expect(try await client.text("SELECT millrace.rebuild_aggregate('o', '1')::text") == nil)
            }
        }

        @Test(
            "an upcaster that fails, or returns what it may not, says for which event",
            arguments: [
                ("RAISE EXCEPTION 'so be it'", "so be it"), ("ASSERT false, 'so be it'", "so be it"),
                (
                    "event.event_type := 'third'; RETURN NEXT event",
                    "of the type 'third', for which it is not registered"
                ),
                ("event.event_type := NULL; RETURN NEXT event", "for which it is not registered"),
                ("RETURN NEXT NULL::millrace.events", "for which it is not registered"),
                ("event.event_data := NULL; RETURN NEXT event", "without event_data"),
                ("RETURN QUERY SELECT event.* FROM generate_series(1, 1001)", "more than 1000 events"),
            ]
        )
        func failing(body: String, problem: String) async throws {
            try await withTestDatabase { client in
                try await client.script(
                    """
                    CREATE FUNCTION public.bad(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
                        BEGIN event.event_type := 'other'; \(body); END
                    $$;
                    SELECT millrace.register_upcaster('a', 'bad', 4, '{other}');
                    """
                )
                try await Self.publish(client, "b")
                try await Self.publish(client, "a", "{}", #"{"schema_version": 4}"#)
                let place = "public.bad failed at version 2 of o/1 (position 2, a of schema version 4)"
                for call in ["rebuild_aggregate('o', '1')", "aggregate_history('o', '1')"] {
                    try await expectRefusal("MR025", place, problem) { try await client.run("SELECT millrace.\(call)") }
                }
            }
        }

        @Test("upcasters that go round in circles end")
        func circle() async throws {
            try await withTestDatabase { client in
                for (from, into) in [("a", "b"), ("b", "a")] {
                    try await client.script(
                        """
                        CREATE FUNCTION public.from_\(from)(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
                            BEGIN event.event_type := '\(into)'; RETURN NEXT event; END
                        $$;
                        SELECT millrace.register_upcaster('\(from)', 'from_\(from)', NULL, '{\(into)}');
                        """
                    )
                }
                try await Self.publish(client, "a")
                try await expectRefusal("MR025", "version 1 of o/1 (position 1, a) is not lifted after 100 steps") {
                    try await client.run("SELECT millrace.rebuild_aggregate('o', '1')")
                }
            }
        }

        @Test("an upcaster is registered, present, replaced and removed")
        func registering() async throws {
            try await withTestDatabase { client in
                try await client.script(Self.functions)
                func register(_ arguments: String) async throws -> String? {
                    try await client.text("SELECT millrace.register_upcaster(\(arguments))")
                }
                #expect(try await register("'made', 'made_1', 1") == "present")
                #expect(try await register("'made', 'made_1', 1, '{made}'") == "present")
                #expect(try await register("'made', 'made_2', 1") == "replaced")
                #expect(try await register("'made', 'made_2', 1, '{made,x}'") == "replaced")
                #expect(try await client.text("SELECT millrace.remove_upcaster('made', 1)::text") == "true")
                #expect(try await client.text("SELECT millrace.remove_upcaster('made', 1)::text") == "false")
                #expect(
                    try await client.text("SELECT millrace.stored_types('{created,packed}')::text")
                        == "{created,packed,both,made}"
                )
            }
        }

        @Test(
            "what cannot be registered is refused by the field",
            arguments: [
                ("NULL, 'both', 1", "MR001", "p_event_type"), ("'', 'both', 1", "MR001", "p_event_type"),
                ("'a', 'both', 0", "MR011", "p_schema_version is 0"),
                ("'a', 'both'", "MR011", "p_schema_version is missing"),
                ("'a', 'both', NULL, '{a,b}'", "MR011", "p_schema_version is missing"),
                ("'a', 'both', 1, '{b,\"\"}'", "MR001", "p_into[2] is empty"),
                ("'a', 'absent', 1", "MR018", "does not exist with one argument"),
                ("'a', 'single', 1", "MR018", "SETOF"),
                ("'a', 'definer', 1", "MR018", "is SECURITY DEFINER"),
            ] as [(String, PostgresSQLState, String)]
        )
        func badInput(arguments: String, state: PostgresSQLState, problem: String) async throws {
            try await withTestDatabase { client in
                try await client.script(Self.functions)
                try await client.script(
                    """
                    CREATE FUNCTION public.single(event millrace.events) RETURNS millrace.events LANGUAGE sql AS $$ SELECT event $$;
                    CREATE FUNCTION public.definer(event millrace.events) RETURNS SETOF millrace.events LANGUAGE sql SECURITY DEFINER
                        AS $$ SELECT event.* $$;
                    """
                )
                try await expectRefusal(state, problem) {
                    try await client.run("SELECT millrace.register_upcaster(\(arguments))")
                }
            }
        }

        @Test("an SQL handler gets what old events mean now, of the types that it wants, by every way")
        func handlers() async throws {
            try await withTestDatabase { client in
                let handling = try await SQLHandling(client)
                try await client.script(
                    Self.functions + """
                        CREATE FUNCTION public.keep(event millrace.events) RETURNS void LANGUAGE sql AS $$
                            INSERT INTO public.effects (position, stream, version, data, who)
                            VALUES (event.id * 10 + length(event.event_type), event.event_type, event.version, event.event_data, 'x')
                        $$;
                        SELECT millrace.register_sql_handler('h', '{created,packed}', 'keep', p_lanes => 1),
                               millrace.register_sql_handler('raw', '{both}', 'keep', p_lanes => 1);
                        """
                )
                for type in ["made", "both", "noise", "created", "paid"] {
                    try await Self.publish(client, type, #"{"price": 1}"#)
                }
                #expect(try await handling.run() == "3 0 5 t")
                #expect(try await handling.effects == ["created1", "packed2", "created4"])
                try await client.run("TRUNCATE public.effects")
                #expect(try await handling.run("raw") == "1 0 5 t")
                #expect(try await handling.effects == ["paid2", "packed2"])

                try await client.run("TRUNCATE public.effects")
                try await Self.publish(client, "made", #"{"price": 1}"#)
                let event = try #require(
                    try await client.text("SELECT event_id::text FROM millrace.events WHERE id = 6")
                )
                #expect(try await handling.process(event, "h"))
                #expect(try await handling.effects == ["created6"])
                let replay =
                    "SELECT millrace.replay_event('h', e.id, e.created_at) FROM millrace.events AS e WHERE e.id = 2"
                try await client.run(replay)
                #expect(try await handling.effects == ["created6", "packed2"])
            }
        }

        @Test(
            "an event that cannot be lifted waits as one that a handler fails at, and is handled once the upcaster is mended"
        )
        func handlersWait() async throws {
            try await withTestDatabase { client in
                let handling = try await SQLHandling(client)
                func upcaster(_ body: String) async throws {
                    try await client.script(
                        """
                        CREATE OR REPLACE FUNCTION public.lift(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
                            BEGIN \(body); RETURN NEXT event; END
                        $$;
                        """
                    )
                }
                try await upcaster("RAISE EXCEPTION 'not yet'")
                try await client.run("SELECT millrace.register_upcaster('t', 'lift', 1)")
                try await handling.register()
                try await handling.publish("a")
                #expect(try await handling.run() == "0 1 1 t")
                #expect(
                    try await client.text("SELECT p.error_kind FROM millrace.parked_events AS p") == "SQLSTATE MR025"
                )
                try await upcaster("event.event_data := '{\"now\": 1}'")
                try await handling.hurry()
                #expect(try await handling.run() == "1 0 1 t")
                #expect(try await client.text("SELECT e.data::text FROM public.effects AS e") == #"{"now": 1}"#)
            }
        }

        @Test("the first answer that is not done counts for all that a split event has become")
        func splitFails() async throws {
            try await withTestDatabase { client in
                let handling = try await SQLHandling(client)
                try await client.script(
                    Self.functions + """
                        CREATE FUNCTION public.refuse_packed(event millrace.events) RETURNS text LANGUAGE plpgsql AS $$
                        BEGIN
                            INSERT INTO public.effects (position, stream, version, data, who)
                            VALUES (length(event.event_type), event.event_type, event.version, event.event_data, 'x');
                            RETURN CASE event.event_type WHEN 'packed' THEN 'park' ELSE 'done' END;
                        END
                        $$;
                        SELECT millrace.register_sql_handler('h', '{paid,packed}', 'refuse_packed', p_lanes => 1);
                        """
                )
                try await Self.publish(client, "both")
                #expect(try await handling.run() == "0 1 1 t")
                #expect(try await handling.effects.isEmpty)
                #expect(try await handling.parked == ["11 parked 1 0"])
            }
        }
    }
}
