import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("migrating")
    struct MigratorTests {
        @Test("brings an empty database to the newest schema, and a second run changes nothing")
        func twice() async throws {
            try await withTestDatabase(migrated: false) { client in
                let migrator = Migrator(client: client)
                let first = try await migrator.migrate()
                #expect(first.migrations.first == "v0001_roles")
                #expect(first.recreatedFunctions)
                #expect(first.partitions.map(\.outcome) == ["created", "created", "created", "created", "created"])

                let second = try await migrator.migrate()
                #expect(second.migrations.isEmpty)
                #expect(!second.recreatedFunctions)
                #expect(second.partitions.allSatisfy { $0.outcome == "present" })
                #expect(try await migrator.plan().isEmpty)
            }
        }

        @Test("a plan lists what would run and changes nothing")
        func dryRun() async throws {
            try await withTestDatabase(migrated: false) { client in
                let plan = try await Migrator(client: client).plan()
                #expect(plan.recreatesFunctions)
                #expect(try await client.text("SELECT to_regnamespace('millrace')::text") == nil)
                let report = try await Migrator(client: client).migrate()
                #expect(report.migrations == plan.migrations)
            }
        }

        @Test("an administrator plans without owning anything")
        func planAsAdministrator() async throws {
            try await withTestDatabase { client in
                // A client of its own: the role stays with its connection.
                var configuration = client.configuration
                configuration.sessionSettings["role"] = "millrace_admin"
                try await withClient(configuration) { administrator in
                    let role = try await administrator.text("SELECT current_user::text")
                    #expect(role == "millrace_admin")
                    let plan = try await Migrator(client: administrator).plan()
                    #expect(plan.isEmpty)
                }
            }
        }

        @Test("the number in a migration's name is its version")
        func numbers() async throws {
            try await withTestDatabase { client in
                let wrong = try await client.texts(
                    "SELECT name FROM millrace.schema_migrations WHERE name NOT LIKE format('v%s\\_%%', lpad(version::text, 4, '0'))"
                )
                #expect(wrong.isEmpty)
                #expect(try await client.text("SELECT count(*)::text FROM millrace.schema_migrations") != "0")
            }
        }

        @Test("eight migrators at once run every migration once")
        func atOnce() async throws {
            try await withTestDatabase(migrated: false) { client in
                let planned = try await Migrator(client: client).plan().migrations
                let ran = try await withThrowingTaskGroup(of: MigrationReport.self) { group in
                    for _ in 0..<8 { group.addTask { try await Migrator(client: client).migrate() } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(ran.flatMap(\.migrations).sorted() == planned.sorted())
                #expect(ran.filter(\.recreatedFunctions).count == 1)
                #expect(ran.flatMap(\.partitions).filter { $0.outcome == "created" }.count == 5)
            }
        }

        @Test("an edited migration is refused by name")
        func edited() async throws {
            try await withTestDatabase { client in
                try await client.run("UPDATE millrace.schema_migrations SET checksum = 'x' WHERE version = 2")
                await #expect(throws: MigrationError.edited(name: "v0002_store")) {
                    try await Migrator(client: client).migrate()
                }
                await #expect(throws: MigrationError.edited(name: "v0002_store")) {
                    try await Migrator(client: client).plan()
                }
            }
        }

        @Test("a migration of a newer Millrace is refused by name")
        func unknown() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    "INSERT INTO millrace.schema_migrations (version, name, checksum) VALUES (9000, 'v9000_future', 'x')"
                )
                await #expect(throws: MigrationError.unknown(name: "v9000_future")) {
                    try await Migrator(client: client).migrate()
                }
            }
        }

        @Test("a hole in what was recorded is refused by name")
        func missing() async throws {
            try await withTestDatabase { client in
                try await client.run("DELETE FROM millrace.schema_migrations WHERE version = 1")
                await #expect(throws: MigrationError.missing(name: "v0001_roles")) {
                    try await Migrator(client: client).migrate()
                }
            }
        }

        @Test("functions that were changed by hand come back when their recorded hash differs")
        func functionsComeBack() async throws {
            try await withTestDatabase { client in
                try await client.script(
                    """
                    CREATE OR REPLACE FUNCTION millrace.ring(p_position bigint) RETURNS boolean
                        LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
                    UPDATE millrace.schema_functions SET checksum = 'older';
                    """
                )
                let plan = try await Migrator(client: client).plan()
                #expect(plan.recreatesFunctions && plan.migrations.isEmpty)
                #expect(try await Migrator(client: client).migrate().recreatedFunctions)
                let language = try await client.text(
                    """
                    SELECT l.lanname::text FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
                    WHERE p.oid = 'millrace.ring(bigint)'::regprocedure
                    """
                )
                #expect(language == "sql")
            }
        }

        /// Functions as an older Millrace may have had them: another result, fewer parameters, one that is no more, a view
        /// with other columns and something of ours that depends on what has to go.
        private static let older = """
            DROP VIEW millrace.horizon_holders;
            DROP FUNCTION millrace.list_horizon_holders(), millrace.store_info(), millrace.rebuild_aggregate(text, text, int, timestamptz);
            CREATE FUNCTION millrace.list_horizon_holders() RETURNS TABLE (fence bigint, who text)
                LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1::bigint, 'x' $$;
            CREATE VIEW millrace.horizon_holders AS SELECT h.who, h.fence FROM millrace.list_horizon_holders() AS h;
            CREATE FUNCTION millrace.store_info() RETURNS uuid LANGUAGE sql AS $$ SELECT uuidv7() $$;
            CREATE FUNCTION millrace.rebuild_aggregate(text, text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
            CREATE FUNCTION millrace.retired(p_who text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT p_who $$;
            GRANT EXECUTE ON FUNCTION millrace.retired(text) TO millrace_publisher;
            CREATE VIEW millrace.retired_view AS SELECT millrace.retired('x') AS who;
            UPDATE millrace.schema_functions SET checksum = 'older';
            """

        private static let routinesAndViews = """
            SELECT p.oid::regprocedure || ' ' || pg_get_function_result(p.oid) || ' ' || p.proacl::text
            FROM pg_proc AS p WHERE p.pronamespace = 'millrace'::regnamespace AND p.prokind = 'f'
            UNION ALL
            SELECT c.relname || ' ' || pg_get_viewdef(c.oid) || c.relacl::text
            FROM pg_class AS c WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'v'
            ORDER BY 1
            """

        @Test("functions and views of other shapes are replaced, and those that are no more go")
        func olderFunctions() async throws {
            try await withTestDatabase { client in
                let new = try await client.texts(Self.routinesAndViews)
                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{\"n\": 1}')")
                try await client.script(Self.older)
                try await client.run("CREATE ROLE \(Self.application)")
                try await client.run("GRANT EXECUTE ON FUNCTION millrace.horizon() TO \(Self.application)")

                #expect(try await Migrator(client: client).migrate().recreatedFunctions)
                let granted = "has_function_privilege('\(Self.application)', 'millrace.horizon()', 'EXECUTE')"
                let isGranted = try await client.text("SELECT \(granted)::text")
                #expect(isGranted == "true")
                try await client.script("DROP OWNED BY \(Self.application); DROP ROLE \(Self.application)")
                let now = try await client.texts(Self.routinesAndViews)
                #expect(now == new)
                let state = try await client.text("SELECT millrace.rebuild_aggregate('order', '1')::text")
                #expect(state == #"{"n": 1}"#)
                try await expectRefusal("MR007") { try await client.run("DELETE FROM millrace.events") }
                #expect(try await Migrator(client: client).plan().isEmpty)
            }
        }

        private static let application = "millrace_test_application"

        @Test("a user's view stays: on what can be replaced in silence, on what has to go with an error that names it")
        func usersView() async throws {
            try await withTestDatabase { client in
                try await client.script(
                    """
                    CREATE VIEW public.everything AS SELECT e.id FROM millrace.read_all() AS e;
                    UPDATE millrace.schema_functions SET checksum = 'older';
                    """
                )
                #expect(try await Migrator(client: client).migrate().recreatedFunctions)
                let read = try await client.texts("SELECT id::text FROM public.everything")
                #expect(read.isEmpty)

                try await client.script(Self.older)
                try await client.run("CREATE VIEW public.mine AS SELECT millrace.retired('me') AS who")
                let error = await #expect(throws: MigrationError.self) { try await Migrator(client: client).migrate() }
                guard case .inUse(let command, let dependents) = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(command.contains("retired(text)"))
                #expect(dependents.contains("view mine"))
                let who = try await client.text("SELECT who FROM millrace.horizon_holders")
                #expect(who == "x", "nothing is changed")

                try await client.run("DROP VIEW public.mine")
                #expect(try await Migrator(client: client).migrate().recreatedFunctions)
            }
        }

        @Test("two databases of one cluster are migrated at once, though they share their roles")
        func sharedRoles() async throws {
            try await withTestDatabase(migrated: false) { one in
                try await withTestDatabase(migrated: false) { other in
                    async let first = Migrator(client: one).migrate()
                    async let second = Migrator(client: other).migrate()
                    let reports = try await [first, second]
                    #expect(reports[0].migrations == reports[1].migrations)
                }
            }
        }
    }
}
