import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// What a projection must not lose, and whom it must not obey, whoever does what at the same time.
@Suite("projections are safe")
struct ProjectionSafetyTests {
    private static let functions = """
        CREATE FUNCTION public.put_row(event millrace.events) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO rows VALUES (event.id, event.event_type); END $$;
        """

    private static func register(_ name: String, version: Int = 1, types: String = "NULL", mode: String = "behind")
        -> String
    {
        """
        SELECT millrace.register_projection('\(name)', \(version), 'CREATE TABLE rows (position bigint PRIMARY KEY, type text)',
                                            '{public.put_row}', \(types), NULL, '\(mode)')
        """
    }

    private static func publish(_ type: String, by function: String = "publish_event") -> String {
        "SELECT millrace.\(function)('\(type)', '1', 'thing', '{}')"
    }

    private func refusal(_ session: some PostgresSession, _ sql: String) async -> PostgresSQLState? {
        do {
            try await session.query(PostgresStatement(sql, prepared: false))
            return nil
        } catch {
            return (error as? PostgresError)?.sqlState
        }
    }

    private func number(_ session: some PostgresSession, _ sql: String) async throws -> Int64 {
        try await session.query(PostgresStatement(sql, prepared: false)).single().decode(Int64.self, at: 0)
    }

    @Test("a consumer changes no projection of others, and has nothing run as somebody else")
    func belongsToItsOwner() async throws {
        try await withTestDatabase { client in
            try await client.script(Self.functions)
            try await client.query(PostgresStatement(Self.register("things"), prepared: false))
            let role = "mallory_\(UInt32.random(in: 0...UInt32.max))"
            try await client.script("CREATE ROLE \(role); GRANT millrace_consumer TO \(role)")
            try await client.withConnection { mallory in
                try await mallory.script("SET ROLE \(role)")
                for call in [
                    "SELECT millrace.settle_swap('things', 1, 0, true, NULL)",
                    "SELECT millrace.forget_generation('things', 1)",
                    "SELECT millrace.hold_equal('things', 1)", "SELECT millrace.guard_inline('things')",
                    "SELECT millrace.generation_indexed('things', 1)",
                    """
                    SELECT millrace.begin_generation('things', 2, 'behind', 'public', 'SELECT', 'ALTER ROLE \(role) SUPERUSER', NULL,
                        NULL, NULL, 16, 1, 1, 1, 1, 'serve', 1000, true, false)
                    """,
                    """
                    SELECT millrace.begin_generation('everything', 1, 'inline', 'public', 'SELECT', NULL, '{public.put_row}',
                        NULL, NULL, 16, 1, 1, 1, 1, 'serve', 1000, true, false)
                    """,
                ] {
                    #expect(await refusal(mallory, call) == .insufficientPrivilege, "\(call)")
                }
                // Hers is hers: whoever makes its indexes makes them as her.
                try await mallory.script(
                    """
                    SELECT millrace.begin_generation('hers', 1, 'behind', 'public', '', 'ALTER ROLE \(role) SUPERUSER', NULL,
                        NULL, NULL, 16, 1, 1, 1, 1, 'serve', 1000, true, false)
                    """
                )
                try await mallory.script("RESET ROLE")
            }
            #expect(await refusal(client, "SELECT millrace.index_generation('hers', 1)") == .insufficientPrivilege)
            #expect(
                try await number(client, "SELECT count(*) FROM pg_roles WHERE rolname = '\(role)' AND rolsuper") == 0
            )
            try await client.script(
                "DELETE FROM millrace.projections WHERE owner = '\(role)' AND serving IS NULL; DROP OWNED BY \(role); DROP ROLE \(role)"
            )
        }
    }

    @Test("a number is given once, also after its generation was dropped")
    func numbers() async throws {
        try await withTestDatabase { client in
            try await client.script(Self.functions)
            try await client.query(PostgresStatement(Self.register("things"), prepared: false))
            let rebuild = "SELECT millrace.rebuild_projection('things')::bigint"
            #expect(try await number(client, rebuild) == 2)
            try await client.script("SELECT millrace.drop_generation('things', 2)")
            #expect(try await number(client, rebuild) == 3)
        }
    }

    @Test(
        "what is inline is missed by no publisher: with an older snapshot, under way at the swap, or after another of his own"
    )
    func inline() async throws {
        try await withTestDatabase { client in
            try await client.script(Self.functions)
            try await client.script(Self.register("things", types: "'{a}'", mode: "inline"))
            try await client.script("SELECT millrace.swap_projection('things', 1)")
            try await client.script(Self.publish("a", by: "publish_and_project"))
            #expect(try await number(client, "SELECT count(*) FROM rows") == 1)

            // One publication that projects says nothing of the next.
            try await client.withConnection { connection in
                try await connection.script("BEGIN; \(Self.publish("a", by: "publish_and_project"))")
                #expect(await refusal(connection, Self.publish("a")) == "MR027")
                try await connection.script("ROLLBACK")
            }
            // Version 2 wants more than version 1: what was begun under 1 is not passed over at the swap.
            try await client.script(Self.register("things", version: 2, types: "'{a,b}'", mode: "inline"))
            try await client.script("SELECT * FROM millrace.run_sql_handlers()")
            try await client.withConnection { connection in
                try await connection.script("BEGIN; \(Self.publish("b"))")
                #expect(await refusal(client, "SELECT millrace.swap_projection('things', 2, 0)") == .lockNotAvailable)
                try await connection.script("COMMIT")
            }
            try await client.withConnection { older in
                try await older.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM millrace.events")
                try await eventually("version 2 serves") {
                    try await client.script("SELECT * FROM millrace.run_sql_handlers()")
                    return try await client.query("SELECT millrace.swap_projection('things', 2)").single()
                        .decode(String?.self, at: 0) == nil
                }
                #expect(await refusal(older, Self.publish("a", by: "publish_and_project")) == .serializationFailure)
                try await older.script("ROLLBACK")
            }
            #expect(try await number(client, "SELECT count(*) FROM rows") == 2)
            #expect(try await number(client, "SELECT count(*) FROM millrace.events") == 2)
        }
    }

    @Test("functions that write a projection are given what old events mean now, behind and after a rebuild")
    func lifted() async throws {
        try await withTestDatabase { client in
            try await client.script(Self.functions)
            try await client.script(
                """
                CREATE FUNCTION public.made(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
                    BEGIN event.event_type := 'created'; RETURN NEXT event; END $$;
                SELECT millrace.register_upcaster('made', 'public.made', NULL, '{created}');
                """
            )
            for type in ["made", "created", "other"] { try await client.script(Self.publish(type)) }
            try await client.script(Self.register("things", types: "'{created}'"))
            try await client.script("SELECT * FROM millrace.run_sql_handlers()")
            #expect(try await number(client, "SELECT count(*) FROM rows WHERE type = 'created'") == 2)
            try await client.script("SELECT millrace.rebuild_projection('things')")
            try await eventually("the second generation serves") {
                try await client.script("SELECT * FROM millrace.run_sql_handlers()")
                return try await client.query("SELECT millrace.swap_projection('things', 2)").single()
                    .decode(String?.self, at: 0) == nil
            }
            #expect(try await number(client, "SELECT count(*) FROM rows WHERE type = 'created'") == 2)
        }
    }

    @Test("nothing is written through its views, and its views keep their options")
    func views() async throws {
        try await withTestDatabase { client in
            try await client.script(Self.functions)
            try await client.script(Self.register("things"))
            #expect(await refusal(client, "INSERT INTO rows VALUES (1, 'by hand')") == "MR026")
            try await client.script(
                "ALTER VIEW public.rows SET (security_invoker = true); SELECT millrace.rebuild_projection('things')"
            )
            try await client.script("SELECT millrace.swap_projection('things', 2)")
            #expect(
                try await number(
                    client,
                    "SELECT count(*) FROM pg_class WHERE relname = 'rows' AND 'security_invoker=true' = ANY (reloptions)"
                ) == 1
            )
        }
    }
}
