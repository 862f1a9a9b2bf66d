import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    /// A handler's function is somebody's code: it runs with the rights of whoever processes, and of nobody else.
    @Suite("the functions of SQL handlers have the caller's rights")
    struct SQLHandlerPrivilegeTests {
        @Test("a function runs as whoever processes, by every way, and sees his search_path")
        func asTheCaller() async throws {
            try await withRoles(1) { handling, roles in
                let caller = roles[0]
                try await handling.client.script(
                    """
                    CREATE SCHEMA mine AUTHORIZATION \(caller);
                    CREATE FUNCTION mine.whoever() RETURNS text LANGUAGE sql AS $$ SELECT 'found' $$;
                    CREATE FUNCTION public.look(event millrace.events) RETURNS void LANGUAGE sql AS $$
                        INSERT INTO public.effects (position, stream, version, data, who)
                        VALUES (event.id, event.aggregate_id, event.version, to_jsonb(whoever()), current_user)
                    $$;
                    ALTER FUNCTION public.look(millrace.events) OWNER TO \(caller);
                    GRANT INSERT ON public.effects TO \(caller);
                    """.replacing("LANGUAGE sql AS $$\n", with: "LANGUAGE sql SET check_function_bodies = off AS $$\n")
                )
                try await handling.client.run(
                    "SELECT millrace.register_sql_handler('h', '{t}', 'public.look', p_lanes => 1)"
                )
                let first = try await handling.publish("a")
                try await handling.publish("b")
                try await handling.publish("c")
                try await acting(caller, handling) { connection in
                    try await connection.run("SET search_path = mine, public")
                    #expect(try await connection.text("SELECT millrace.process_event('\(first)')::text") == "true")
                    let run = "SELECT handled::text FROM millrace.run_sql_handler('h', 0, 0, 'me', 1)"
                    #expect(try await connection.text(run) == "1")
                    #expect(try await connection.text("SELECT handled::text FROM millrace.run_sql_handlers()") == "1")
                    try await connection.run("RESET search_path")
                }
                let who = try await handling.client.texts(
                    "SELECT format('%s %s', e.who, e.data) FROM public.effects AS e"
                )
                #expect(who == Array(repeating: "\(caller) \"found\"", count: 3))
            }
        }

        @Test(
            "what the caller may not do, his functions may not either",
            arguments: [
                "UPDATE millrace.event_handlers SET state = 'stopped'",
                "UPDATE millrace.handler_lanes SET checkpoint = 0",
                "DELETE FROM millrace.parked_events",
                "INSERT INTO millrace.events DEFAULT VALUES",
                "SELECT millrace.set_aside('h', 0, '[]')",
                "SELECT millrace.reset_handler('h', 0)",
                "ALTER FUNCTION millrace.horizon() OWNER TO CURRENT_USER",
                "CREATE TABLE millrace.mine ()",
                "RESET ROLE",
                "SET LOCAL SESSION AUTHORIZATION DEFAULT",
            ]
        )
        func noMore(command: String) async throws {
            try await withRoles(1) { handling, roles in
                let caller = roles[0]
                try await handling.client.script(
                    """
                    CREATE FUNCTION public.reach(event millrace.events) RETURNS void LANGUAGE plpgsql AS $f$
                        BEGIN EXECUTE $$\(command)$$; END
                    $f$;
                    ALTER FUNCTION public.reach(millrace.events) OWNER TO \(caller);
                    SELECT millrace.register_sql_handler('h', '{t}', 'public.reach', p_lanes => 1);
                    """
                )
                try await handling.publish("a")
                try await acting(caller, handling) { connection in
                    let run =
                        "SELECT format('%s %s', handled, failed) FROM millrace.run_sql_handler('h', 0, 0, 'me', 9)"
                    let counts = try await connection.text(run)
                    #expect(counts == "0 1")
                    let user = try await connection.text("SELECT current_user::text")
                    #expect(user == caller)
                }
                // RESET ROLE succeeds, because the session may; what it had in mind is undone.
                let kind = try await handling.client.text("SELECT p.error_kind FROM millrace.parked_events AS p")
                let leaves = command.hasPrefix("RESET") || command.hasPrefix("SET")
                #expect(kind == (leaves ? "SQLSTATE MR018" : "SQLSTATE 42501"))
            }
        }

        @Test("a function is not run by those whom its owner could not act as")
        func untrustedOwner() async throws {
            try await withRoles(2) { handling, roles in
                let (caller, owner) = (roles[0], roles[1])
                try await handling.client.script("ALTER FUNCTION public.note(millrace.events) OWNER TO \(owner)")
                try await handling.register()
                try await handling.client.script(
                    """
                    GRANT INSERT ON public.effects TO \(caller); GRANT SELECT ON public.fates TO \(caller);
                    CREATE FUNCTION public.fine(event millrace.events) RETURNS void LANGUAGE sql AS '';
                    ALTER FUNCTION public.fine(millrace.events) OWNER TO \(caller);
                    SELECT millrace.register_sql_handler('fine', '{t}', 'public.fine', p_lanes => 1);
                    """
                )
                let event = try await handling.publish("a")
                for role in [caller, nil] {
                    let whom = role ?? "millrace"
                    try await acting(role, handling) { connection in
                        let refusal = "belongs to \(owner), who may not act as \(whom)"
                        try await expectRefusal("MR018", "public.note", refusal) {
                            try await connection.run("SELECT millrace.run_sql_handler('h', 0, 0, 'me', 9)")
                        }
                        try await expectRefusal("MR018", refusal) {
                            try await connection.run("SELECT millrace.process_event('\(event)', 'h')")
                        }
                    }
                }
                #expect(try await handling.effects.isEmpty)
                // Where none is named, the others have their event.
                try await acting(caller, handling) { connection in
                    let batch = """
                        SELECT format('%s %s', b.handler_id, b.processed)
                        FROM millrace.process_events_batch(ARRAY['\(event)']::uuid[]) AS b
                        """
                    let processed = try await connection.texts(batch)
                    #expect(processed == ["fine t", "h f"])
                    let all =
                        "SELECT format('%s %s', r.handler_id, r.error IS NULL) FROM millrace.run_sql_handlers() AS r"
                    let run = try await connection.texts(all)
                    #expect(run == ["h f"])
                }
                try await handling.client.run("GRANT \(caller) TO \(owner)")
                try await acting(caller, handling) { connection in
                    let processed = try await connection.text("SELECT millrace.process_event('\(event)', 'h')::text")
                    #expect(processed == "true")
                }
                #expect(try await handling.effects == ["a1"])
            }
        }

        @Test("a function that became SECURITY DEFINER is not run")
        func replaced() async throws {
            try await withRoles(0) { handling, _ in
                try await handling.register()
                let event = try await handling.publish("a")
                try await handling.client.run("ALTER FUNCTION public.note(millrace.events) SECURITY DEFINER")
                try await expectRefusal("MR018", "is SECURITY DEFINER") { _ = try await handling.process(event, "h") }
                #expect(try await handling.effects.isEmpty)
            }
        }

        @Test("a function's name is a name, whatever was registered")
        func injection() async throws {
            try await withRoles(0) { handling, _ in
                for function in [
                    "public.note($1); DROP TABLE public.effects; --", "public.note(millrace.events)) FROM (", "note",
                ] {
                    try await handling.client.query(
                        "SELECT millrace.register_handler('h', 'sql', $1, '{t}', NULL, 1, 0, 'none', 1, 0, 0, 9)",
                        [.text(function)]
                    )
                    // The last one is a name, and found nowhere but in the caller's search_path.
                    try await expectRefusal("MR018", "the function") { _ = try await handling.run() }
                }
                #expect(try await handling.effects.isEmpty)
            }
        }

        @Test("types, operators and tables of others that stand before ours change nothing")
        func hostileSearchPath() async throws {
            try await withRoles(1) { handling, roles in
                let caller = roles[0]
                try await handling.client.script(
                    """
                    CREATE SCHEMA evil;
                    CREATE TABLE evil.calls (what text);
                    GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.calls TO PUBLIC;
                    CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
                    CREATE DOMAIN evil.int4 AS pg_catalog.int4 CHECK (false);
                    CREATE DOMAIN evil.bool AS pg_catalog.bool CHECK (false);
                    CREATE DOMAIN evil.timestamptz AS pg_catalog.timestamptz CHECK (false);
                    CREATE TYPE evil.record AS (nothing pg_catalog.int4);
                    GRANT INSERT ON public.effects TO \(caller); GRANT SELECT ON public.fates TO \(caller);
                    ALTER FUNCTION public.note(millrace.events) OWNER TO \(caller);
                    ALTER FUNCTION public.note(millrace.events) SET search_path = pg_catalog, public;
                    """
                )
                for (operation, left, result) in [
                    ("+", "int4", "int4"), ("-", "int4", "int4"), ("<", "int4", "bool"), ("<=", "int4", "bool"),
                    (">", "int4", "bool"), ("=", "text", "bool"), ("<>", "text", "bool"), ("=", "name", "bool"),
                    ("<>", "name", "bool"), ("-", "timestamptz", "interval"), ("=", "int4", "bool"),
                    ("=", "int8", "bool"),
                    ("||", "text", "text"), ("=", "uuid", "bool"),
                ] {
                    let name = "evil.f\(operation.unicodeScalars.map { "\($0.value)" }.joined())_\(left)"
                    try await handling.client.script(
                        """
                        CREATE FUNCTION \(name)(a pg_catalog.\(left), b pg_catalog.\(left)) RETURNS pg_catalog.\(result)
                        LANGUAGE plpgsql AS $$
                        BEGIN INSERT INTO evil.calls VALUES ('\(name)'); RAISE EXCEPTION 'caught'; END $$;
                        CREATE OPERATOR evil.\(operation) (FUNCTION = \(name), LEFTARG = pg_catalog.\(left), RIGHTARG = pg_catalog.\(left));
                        """
                    )
                }
                for function in ["format", "clock_timestamp", "bool_or", "array_append", "left", "coalesce_"] {
                    try await handling.client.script(
                        """
                        CREATE FUNCTION evil."\(function)"(VARIADIC a pg_catalog.text[]) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$
                        BEGIN RAISE EXCEPTION 'caught'; END $$
                        """
                    )
                }
                try await acting(caller, handling) { connection in
                    try await connection.run("CREATE TEMP TABLE handler_lanes (LIKE millrace.handler_lanes)")
                    try await connection.run("CREATE TEMP TABLE parked_events (LIKE millrace.parked_events)")
                    try await connection.run("SET search_path = evil, pg_temp, pg_catalog, millrace, public")
                    // A retry that nobody sees in this test.
                    let register = """
                        SELECT millrace.register_sql_handler(
                            'h', '{t}', 'public.note', p_lanes => 1, p_first_wait_ms => 3600000, p_longest_wait_ms => 3600000
                        )
                        """
                    #expect(try await connection.text(register) == "registered")
                    try await handling.decide("c", 1, "raise")
                    let first = try await handling.publish("a")
                    for stream in ["b", "c", "c", "d"] { try await handling.publish(stream) }
                    #expect(
                        try await connection.text("SELECT millrace.process_event('\(first)')::pg_catalog.text")
                            == "true"
                    )
                    let run = """
                        SELECT pg_catalog.format('%s %s', handled, failed)
                        FROM millrace.run_sql_handler('h', 0, 0, 'me', 3)
                        """
                    #expect(try await connection.text(run) == "1 1")
                    let rest = """
                        SELECT pg_catalog.format('%s %s', r.handled, r.failed) FROM millrace.run_sql_handlers() AS r
                        """
                    #expect(try await connection.text(rest) == "1 0")
                    try await connection.run("RESET search_path")
                }
                #expect(try await handling.effects == ["a1", "b1", "d1"])
                #expect(try await handling.parked == ["c1 retrying 1 1"])
                #expect(try await handling.client.texts("SELECT c.what::pg_catalog.text FROM evil.calls AS c").isEmpty)
            }
        }

        @Test("a publisher cannot process")
        func publisher() async throws {
            try await withRoles(0) { handling, _ in
                for call in [
                    "process_event(uuidv7())", "run_sql_handlers()", "run_sql_handler('h', 0, 0, 'me', 1)",
                    "register_sql_handler('h', NULL, 'public.note')",
                ] {
                    try await acting("millrace_publisher", handling) { connection in
                        try await expectRefusal(.insufficientPrivilege) {
                            try await connection.run("SELECT millrace.\(call)")
                        }
                    }
                }
            }
        }

        /// So many roles that are consumers, in a database with `public.note`.
        private func withRoles(_ count: Int, _ body: (SQLHandling, [String]) async throws -> Void) async throws {
            try await withTestDatabase { client in
                let handling = try await SQLHandling(client)
                let roles = (0..<count).map { _ in "sql_handler_\(UInt32.random(in: 0 ... .max))" }
                for role in roles { try await client.run("CREATE ROLE \(role) IN ROLE millrace_consumer") }
                try await body(handling, roles)
                for role in roles { try await client.run("DROP OWNED BY \(role) CASCADE") }
                for role in roles { try await client.run("DROP ROLE \(role)") }
            }
        }

        /// As a role; nil is who the tests are.
        private func acting(
            _ role: String?,
            _ handling: SQLHandling,
            _ body: (PostgresConnection) async throws -> Void
        ) async throws {
            try await handling.client.withConnection { connection in
                if let role { try await connection.run("SET ROLE \(role)") }
                try await body(connection)
                try await connection.run("RESET ROLE")
            }
        }
    }
}
