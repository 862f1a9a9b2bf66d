import MillracePostgres
import MillraceTesting
import Testing

@testable import Millrace

extension SchemaTests {
    @Suite("migrating from v0010")
    struct MigratingFromTenTests {
        /// A store with a stream and a handler as v0010 left it.
        private static func older(_ client: PostgresClient) async throws {
            try await client.script(Migrator.ground.sql)
            for migration in try await Migrator.Library(client).migrations {
                try await client.script(migration.sql)
                try await client.query(
                    Migrator.recordMigration,
                    [.int4(Int32(migration.version)), .text(migration.name), .text(migration.checksum)]
                )
                if migration.name == "v0010_handlers" { break }
            }
            for name in ["guard_partition", "make_partition", "make_partitions"] {
                let script = try #require(Migrator.functions.first { $0.name == name })
                try await client.script(script.sql)
            }
            try await client.script(
                """
                SELECT millrace.make_partitions();
                INSERT INTO millrace.events (event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at)
                SELECT uuidv7(), t.type, 'order', '42', t.version, t.data::jsonb, statement_timestamp(), statement_timestamp()
                FROM (VALUES ('made', 1, '{"a": 1}'), ('paid', 2, '{"b": 2}')) AS t (type, version, data);
                INSERT INTO millrace.streams (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
                SELECT 'order', '42', 2, min(e.created_at), max(e.created_at) FROM millrace.events AS e;
                INSERT INTO millrace.event_handlers (handler_id, kind, function, event_types, lanes, audit, max_attempts, first_wait_ms,
                    longest_wait_ms, parked_limit)
                VALUES ('h', 'sql', 'public.note', '{made}', 1, 'failures', 10, 200, 300000, 10000);
                INSERT INTO millrace.handler_lanes (handler_id, lane, checkpoint) VALUES ('h', 0, 0);
                """
            )
        }

        @Test(
            "the events, their states and a handler's work are what they were; snapshots, reducers, upcasters and projections are there"
        )
        func migrates() async throws {
            try await withTestDatabase(migrated: false) { client in
                try await Self.older(client)
                let report = try await Migrator(client: client).migrate()
                #expect(
                    report.migrations == [
                        "v0011_snapshots", "v0012_reducers", "v0013_projections", "v0014_ledger", "v0015_personal",
                    ]
                )
                let state = "SELECT millrace.rebuild_aggregate('order', '42')::text"
                let before = try await client.text(state)
                #expect(before == #"{"a": 1, "b": 2}"#)

                let handling = try await SQLHandling(client)
                try await client.script(
                    """
                    CREATE FUNCTION public.remake(event millrace.events) RETURNS SETOF millrace.events LANGUAGE plpgsql AS $$
                        BEGIN event.event_type := 'created'; event.event_data := '{"c": 3}'; RETURN NEXT event; END
                    $$;
                    SELECT millrace.register_upcaster('made', 'remake', NULL, '{created}');
                    """
                )
                // It asked for made before anybody knew that this would be created: it is not kept from it.
                #expect(try await handling.run() == "1 0 2 t")
                let handled = try await client.texts("SELECT e.data::text FROM public.effects AS e")
                #expect(handled == [#"{"c": 3}"#])
                #expect(try await client.text(state) == #"{"b": 2, "c": 3}"#)
                #expect(
                    try await client.text("SELECT millrace.save_snapshot('order', '42', 'D', 1, 2, '{}')::text")
                        == "true"
                )
                try await client.script(
                    "SELECT millrace.register_projection('notes', 1, 'CREATE TABLE notes (id int)', '{public.note}', '{made}')"
                )
                #expect(try await client.text("SELECT serving::text FROM millrace.projections") == "1")
                #expect(try await Migrator(client: client).plan().isEmpty)
            }
        }
    }
}
