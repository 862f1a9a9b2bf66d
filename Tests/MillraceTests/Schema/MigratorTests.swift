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
                    CREATE OR REPLACE FUNCTION millrace.ring(p_position bigint) RETURNS void LANGUAGE sql AS 'SELECT';
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
                #expect(language == "plpgsql")
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
