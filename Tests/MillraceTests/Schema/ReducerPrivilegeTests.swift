import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    /// Reducers and upcasters are somebody's code: they run with the rights of whoever asks, and of nobody else.
    @Suite("reducers and upcasters have the caller's rights")
    struct ReducerPrivilegeTests {
        private enum Kind: String, CaseIterable {
            case reducer, upcaster

            /// A function of this kind that runs a command first.
            func function(running command: String) -> String {
                switch self {
                case .reducer:
                    """
                    CREATE FUNCTION public.reach(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE plpgsql AS $f$
                        BEGIN EXECUTE $$\(command)$$; RETURN to_jsonb(current_user::text); END
                    $f$;
                    """
                case .upcaster:
                    """
                    CREATE FUNCTION public.reach(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $f$
                        BEGIN
                            EXECUTE $$\(command)$$;
                            event.event_data := jsonb_build_object('who', current_user);
                            RETURN NEXT event;
                        END
                    $f$;
                    """
                }
            }

            var registering: String {
                switch self {
                case .reducer: "SELECT millrace.register_reducer('o', 'public.reach')"
                case .upcaster: "SELECT millrace.register_upcaster('a', 'public.reach', 1)"
                }
            }

            var failure: PostgresSQLState { self == .reducer ? "MR024" : "MR025" }
        }

        private static let rebuild = "SELECT millrace.rebuild_aggregate('o', '1')::text"
        private static let ways = [
            "rebuild_aggregate('o', '1')", "aggregate_history('o', '1')", "state_after('o', '1', 1, NULL)",
            "history_page('o', '1', 0, false, NULL, NULL, 10, NULL)",
        ]

        @Test("a function runs as whoever asks, a publisher too, and sees his search_path", arguments: Kind.allCases)
        private func asTheCaller(kind: Kind) async throws {
            try await withRoles("millrace_publisher") { client, roles in
                let caller = roles[0]
                try await client.script(
                    """
                    CREATE SCHEMA mine AUTHORIZATION \(caller);
                    CREATE FUNCTION mine.whoever() RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
                    """ + kind.function(running: "SELECT whoever()")
                )
                try await client.run(kind.registering)
                try await acting(caller, client) { connection in
                    try await connection.run("SET search_path = mine, public")
                    #expect(try await connection.text(Self.rebuild)?.contains(caller) == true)
                    try await connection.run("RESET search_path")
                }
            }
        }

        @Test(
            "a function is not run by those whom its owner could not act as, whoever registered it",
            arguments: Kind.allCases
        )
        private func untrustedOwner(kind: Kind) async throws {
            try await withRoles("millrace_admin", "millrace_consumer") { client, roles in
                let (owner, caller) = (roles[0], roles[1])
                try await client.run("CREATE TABLE public.seen (who text)")
                try await client.run("GRANT ALL ON public.seen TO PUBLIC")
                try await client.script(kind.function(running: "INSERT INTO public.seen VALUES (current_user)"))
                try await client.run(
                    "ALTER ROUTINE public.reach OWNER TO \(owner)"
                )
                try await acting(owner, client) { try await $0.run(kind.registering) }
                for role in [caller, nil] {
                    try await acting(role, client) { connection in
                        for way in Self.ways {
                            try await expectRefusal(
                                "MR018",
                                "belongs to \(owner), who may not act as \(role ?? "millrace")"
                            ) {
                                try await connection.run("SELECT millrace.\(way)")
                            }
                        }
                    }
                }
                #expect(try await client.texts("SELECT who FROM public.seen").isEmpty)
                try await acting(owner, client) { connection in
                    let state = try await connection.text(Self.rebuild)
                    #expect(state?.contains(owner) == true)
                }
            }
        }

        @Test(
            "what the caller may not do, the function may not either",
            arguments: Kind.allCases,
            [
                "UPDATE millrace.aggregate_reducers SET function = 'x'", "DELETE FROM millrace.event_upcasters",
                "INSERT INTO millrace.events DEFAULT VALUES", "SELECT millrace.set_reducer('o', 'x', NULL)",
                "SELECT millrace.set_upcaster('a', 'x', 1, NULL)", "CREATE TABLE millrace.mine ()", "RESET ROLE",
                "SET LOCAL SESSION AUTHORIZATION DEFAULT",
            ]
        )
        private func noMore(kind: Kind, command: String) async throws {
            try await withRoles("millrace_consumer") { client, roles in
                let caller = roles[0]
                try await client.script(kind.function(running: command))
                try await client.run("ALTER ROUTINE public.reach OWNER TO \(caller)")
                try await client.run(kind.registering)
                try await acting(caller, client) { connection in
                    try await expectRefusal(kind.failure, "failed at version 1 of o/1") {
                        try await connection.run(Self.rebuild)
                    }
                    #expect(try await connection.text("SELECT current_user::text") == caller)
                }
            }
        }

        @Test(
            "only an administrator registers and removes",
            arguments: ["millrace_publisher", "millrace_consumer", "millrace_importer"]
        )
        func registering(role: String) async throws {
            try await withTestDatabase { client in
                for call in [
                    "register_reducer('o', 'x')", "remove_reducer('o')", "set_reducer('o', 'x', NULL)",
                    "register_upcaster('a', 'x', 1)", "remove_upcaster('a')", "set_upcaster('a', 'x', 1, NULL)",
                ] {
                    try await acting(role, client) { connection in
                        try await expectRefusal(.insufficientPrivilege) {
                            try await connection.run("SELECT millrace.\(call)")
                        }
                    }
                }
            }
        }

        @Test(
            "operators and functions of the caller's search_path are not taken for PostgreSQL's own",
            arguments: Kind.allCases
        )
        private func searchPath(kind: Kind) async throws {
            try await withRoles("millrace_consumer") { client, _ in
                try await client.script(
                    """
                    CREATE SCHEMA evil;
                    CREATE TABLE evil.calls (what text);
                    CREATE FUNCTION evil.note(a int4, b int4) RETURNS int4 LANGUAGE sql AS $$ INSERT INTO evil.calls VALUES ('+'); SELECT 1 $$;
                    CREATE OPERATOR evil.+ (LEFTARG = int4, RIGHTARG = int4, FUNCTION = evil.note);
                    CREATE FUNCTION evil.same(a text, b text) RETURNS bool LANGUAGE sql AS $$ INSERT INTO evil.calls VALUES ('='); SELECT true $$;
                    CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
                    CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ INSERT INTO evil.calls VALUES ('format'); SELECT '' $$;
                    CREATE FUNCTION evil.join(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO evil.calls VALUES ('||'); SELECT a $$;
                    CREATE OPERATOR evil.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = evil.join);
                    CREATE FUNCTION evil.dig(a jsonb, b text) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO evil.calls VALUES ('->'); SELECT a $$;
                    CREATE OPERATOR evil.-> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.dig);
                    """ + kind.function(running: "SELECT 1")
                )
                try await client.run(kind.registering)
                try await client.withConnection { connection in
                    try await connection.run("SET search_path = evil, pg_catalog, public")
                    for way in Self.ways { try await connection.run("SELECT millrace.\(way)") }
                    try await connection.run("RESET search_path")
                }
                #expect(try await client.texts("SELECT what FROM evil.calls").isEmpty)
            }
        }

        /// Roles that are members of these, in a database with one event of the type `a`.
        private func withRoles(_ groups: String..., body: (PostgresClient, [String]) async throws -> Void) async throws
        {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                let roles = groups.map { _ in "reducer_\(UInt32.random(in: 0 ... .max))" }
                for (role, group) in zip(roles, groups) { try await client.run("CREATE ROLE \(role) IN ROLE \(group)") }
                try await body(client, roles)
                for role in roles { try await client.run("DROP OWNED BY \(role) CASCADE") }
                for role in roles { try await client.run("DROP ROLE \(role)") }
            }
        }

        /// As a role; nil is who the tests are.
        private func acting(
            _ role: String?,
            _ client: PostgresClient,
            _ body: (PostgresConnection) async throws -> Void
        ) async throws {
            try await client.withConnection { connection in
                if let role { try await connection.run("SET ROLE \(role)") }
                try await body(connection)
                try await connection.run("RESET ROLE")
            }
        }
    }
}
