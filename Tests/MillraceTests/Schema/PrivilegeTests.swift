import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("privileges")
    struct PrivilegeTests {
        /// Who may call what with the rights of Millrace's owner: everything that is granted, and nothing else.
        static let definers: [String: Set<String>] = [
            "add_block": ["millrace_admin"],
            "add_leaves": ["millrace_admin"],
            "add_nodes": ["millrace_admin"],
            "append_event": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "append_events": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "begin_block": ["millrace_admin"],
            "begin_generation": ["millrace_consumer", "millrace_admin"],
            "begin_import_chunk": ["millrace_importer"],
            "begin_inline": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "begin_page": ["millrace_consumer", "millrace_admin"],
            "begin_sql_run": ["millrace_consumer", "millrace_admin"],
            "cancel_replay": ["millrace_admin"],
            "check_import_lines": ["millrace_importer", "millrace_admin"],
            "check_inline": [],
            "claim_due_event": ["millrace_consumer", "millrace_admin"],
            "claim_event": ["millrace_consumer", "millrace_admin"],
            "close_months": ["millrace_admin"],
            "count_events": ["millrace_consumer", "millrace_admin"],
            "declare_ledgered": ["millrace_admin"],
            "destroy_subject_keys": ["millrace_admin"],
            "discard_parked": ["millrace_admin"],
            "discard_snapshots": ["millrace_publisher", "millrace_admin"],
            "due_events": ["millrace_consumer", "millrace_admin"],
            "edit_parked": ["millrace_admin"],
            "events_to_process": ["millrace_consumer", "millrace_admin"],
            "finish_import_chunk": ["millrace_importer"],
            "forget_generation": ["millrace_consumer", "millrace_admin"],
            "forget_subject": ["millrace_admin"],
            "free_sql_lanes": ["millrace_consumer", "millrace_admin"],
            "generation_indexed": ["millrace_consumer", "millrace_admin"],
            "guard_inline": ["millrace_consumer", "millrace_admin"],
            "hold_equal": ["millrace_consumer", "millrace_admin"],
            "horizon": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "import_lines": ["millrace_importer", "millrace_admin"],
            "init_ledger": ["millrace_admin"],
            "last_committed_position": ["millrace_consumer", "millrace_admin"],
            "latest_position": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "lease_lanes": ["millrace_consumer", "millrace_admin"],
            "ledger_status": ["millrace_consumer", "millrace_admin"],
            "list_actions": ["millrace_consumer", "millrace_admin"],
            "list_attempts": ["millrace_consumer", "millrace_admin"],
            "list_handlers": ["millrace_consumer", "millrace_admin"],
            "list_horizon_holders": ["millrace_consumer", "millrace_admin"],
            "list_lanes": ["millrace_consumer", "millrace_admin"],
            "list_parked": ["millrace_consumer", "millrace_admin"],
            "list_processing_stats": ["millrace_consumer", "millrace_admin"],
            "list_projections": ["millrace_consumer", "millrace_admin"],
            "list_replays": ["millrace_consumer", "millrace_admin"],
            "list_subject_keys": ["millrace_admin"],
            "list_subject_streams": ["millrace_admin"],
            "load_aggregate": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "lock_streams": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "make_partitions": ["millrace_admin"],
            "merge_events": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "note_subject_streams": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "pass_event": ["millrace_consumer", "millrace_admin"],
            "position_before": ["millrace_consumer", "millrace_admin"],
            "publish_event": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "read_all": ["millrace_consumer", "millrace_admin"],
            "read_events": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "read_import": ["millrace_importer", "millrace_admin"],
            "read_lane": ["millrace_consumer", "millrace_admin"],
            "read_page": ["millrace_consumer", "millrace_admin"],
            "read_stream": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "read_subject_keys": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "receive_once": ["millrace_consumer", "millrace_admin"],
            "record_publication": ["millrace_admin"],
            "record_renewal": ["millrace_admin"],
            "register_handler": ["millrace_consumer", "millrace_admin"],
            "release_lanes": ["millrace_consumer", "millrace_admin"],
            "remove_handler": ["millrace_admin"],
            "remove_reducer": ["millrace_admin"],
            "remove_upcaster": ["millrace_admin"],
            "renew_subject_key": ["millrace_admin"],
            "request_replay": ["millrace_admin"],
            "reset_handler": ["millrace_admin"],
            "resume_handler": ["millrace_admin"],
            "retry_parked": ["millrace_admin"],
            "roll_back_projection": ["millrace_admin"],
            "rotate_ledger_key": ["millrace_admin"],
            "save_personal_snapshot": ["millrace_publisher", "millrace_admin"],
            "save_snapshot": ["millrace_publisher", "millrace_admin"],
            "set_current_types": ["millrace_consumer", "millrace_admin"],
            "set_event_aside": ["millrace_consumer", "millrace_admin"],
            "set_reducer": ["millrace_admin"],
            "set_seal_interval": ["millrace_admin"],
            "set_upcaster": ["millrace_admin"],
            "settle_lane": ["millrace_consumer", "millrace_admin"],
            "settle_processed": ["millrace_consumer", "millrace_admin"],
            "settle_replay": ["millrace_consumer", "millrace_admin"],
            "settle_sql_run": ["millrace_consumer", "millrace_admin"],
            "settle_swap": ["millrace_consumer", "millrace_admin"],
            "stop_handler": ["millrace_consumer", "millrace_admin"],
            "store_info": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "take_lane": ["millrace_consumer", "millrace_admin"],
            "take_subject_keys": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "trim_audit": ["millrace_admin"],
            "unequal_lanes": ["millrace_consumer", "millrace_admin"],
        ]

        /// Who may call what with his own rights, and why no more are needed: `lane_of` and `state_difference` touch no table; the others are the way to a
        /// user's function, which must never have those of Millrace's owner.
        static let invokers: [String: Set<String>] = [
            "aggregate_history": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "canonical_form": ["millrace_consumer", "millrace_admin"],
            "check_sql_function": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "copy_privileges": ["millrace_consumer", "millrace_admin"],
            "count_rows": ["millrace_consumer", "millrace_admin"],
            "differing_columns": ["millrace_consumer", "millrace_admin"],
            "differing_rows": ["millrace_consumer", "millrace_admin"],
            "drop_generation": ["millrace_consumer", "millrace_admin"],
            "enter_projection": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "find_generation": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "find_reducer": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "find_sql_function": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "fold_event": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "fold_stream": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "followed_position": ["millrace_consumer", "millrace_admin"],
            "handle_lifted": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "history_after": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "history_page": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "index_generation": ["millrace_consumer", "millrace_admin"],
            "is_rebuilding": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "lane_of": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "ledger_checkpoint": ["millrace_consumer", "millrace_admin"],
            "make_generation": ["millrace_consumer", "millrace_admin"],
            "process_event": ["millrace_consumer", "millrace_admin"],
            "process_events_batch": ["millrace_consumer", "millrace_admin"],
            "project_inline": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "publish_and_project": ["millrace_publisher", "millrace_admin"],
            "publish_generation": ["millrace_consumer", "millrace_admin"],
            "rebuild_aggregate": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "rebuild_projection": ["millrace_consumer", "millrace_admin"],
            "refuse_write": ["millrace_consumer", "millrace_admin"],
            "register_projection": ["millrace_consumer", "millrace_admin"],
            "register_reducer": ["millrace_admin"],
            "register_sql_handler": ["millrace_consumer", "millrace_admin"],
            "register_upcaster": ["millrace_admin"],
            "replay_event": ["millrace_consumer", "millrace_admin"],
            "run_sql_handler": ["millrace_consumer", "millrace_admin"],
            "run_sql_handlers": ["millrace_consumer", "millrace_admin"],
            "sql_function_call": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "state_after": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "state_difference": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "stored_types": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "swap_projection": ["millrace_consumer", "millrace_admin"],
            "try_event": ["millrace_consumer", "millrace_admin"],
            "upcast_event": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "upcast_step": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "upcaster_calls": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
        ]

        @Test(
            "every function that a role may call is a definer with our search path, or named as an invoker; every other one is an invoker"
        )
        func securityModes() async throws {
            try await withTestDatabase { client in
                let rows = try await client.query(
                    """
                    SELECT p.proname::text, p.prosecdef,
                           coalesce((SELECT c FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%'), '')
                    FROM pg_proc AS p
                    WHERE p.pronamespace = 'millrace'::regnamespace
                    ORDER BY p.proname
                    """
                )
                var definers: Set<String> = []
                for row in rows {
                    let (name, definer, path) = try row.decode(String.self, Bool.self, String.self)
                    if definer {
                        #expect(definers.insert(name).inserted, "\(name) is overloaded")
                        #expect(path == "search_path=pg_catalog, millrace, pg_temp", "\(name)")
                    }
                }
                #expect(definers == Set(Self.definers.keys))
            }
        }

        @Test("every function is granted to exactly the roles that need it, and to PUBLIC none")
        func grants() async throws {
            try await withTestDatabase { client in
                let rows = try await client.query(
                    """
                    SELECT p.proname::text, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
                    FROM pg_proc AS p
                    CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                    WHERE p.pronamespace = 'millrace'::regnamespace AND a.grantee <> p.proowner
                    """
                )
                var granted: [String: Set<String>] = [:]
                for row in rows {
                    let (name, role) = try row.decode(String.self, String.self)
                    granted[name, default: []].insert(role)
                }
                let expected = Self.definers.merging(Self.invokers) { definer, _ in definer }
                // A trigger's function is called by nobody.
                #expect(granted == expected.filter { !$0.value.isEmpty })
            }
        }

        @Test("no role has more than SELECT on a table, and PUBLIC has nothing")
        func tables() async throws {
            try await withTestDatabase { client in
                let rows = try await client.texts(
                    """
                    SELECT format('%s %s %s', c.relname, a.privilege_type, a.grantee)
                    FROM pg_class AS c
                    CROSS JOIN LATERAL aclexplode(c.relacl) AS a
                    WHERE c.relnamespace = 'millrace'::regnamespace AND a.grantee <> c.relowner
                      AND (a.grantee = 0 OR a.privilege_type <> 'SELECT')
                    """
                )
                #expect(rows.isEmpty)
            }
        }

        @Test("only an importer inserts into the log, and all but the ledger's hashes")
        func columns() async throws {
            try await withTestDatabase { client in
                let rows = try await client.texts(
                    """
                    SELECT format('%s %s %s', c.relname, a.grantee::regrole, a.privilege_type)
                    FROM pg_attribute AS t
                    JOIN pg_class AS c ON c.oid = t.attrelid
                    CROSS JOIN LATERAL aclexplode(t.attacl) AS a
                    WHERE c.relnamespace = 'millrace'::regnamespace
                    GROUP BY c.relname, a.grantee, a.privilege_type
                    """
                )
                #expect(rows == ["events millrace_importer INSERT"])
                for role in ["millrace_publisher", "millrace_consumer", "millrace_admin"] {
                    try await client.withConnection { connection in
                        try await connection.run("SET ROLE \(role)")
                        try await expectRefusal(.insufficientPrivilege) {
                            try await connection.run("INSERT INTO millrace.events (id) VALUES (1)")
                        }
                        try await connection.run("RESET ROLE")
                    }
                }
                try await client.withConnection { connection in
                    try await connection.run("SET ROLE millrace_importer")
                    for column in ["previous_hash", "current_hash"] {
                        try await expectRefusal(.insufficientPrivilege) {
                            try await connection.run("INSERT INTO millrace.events (\(column)) VALUES ('')")
                        }
                    }
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("SELECT nextval('millrace.events_id_seq')")
                    }
                    try await connection.run("RESET ROLE")
                }
            }
        }

        @Test(
            "a publisher publishes through functions and cannot insert",
            arguments: ["events", "streams", "events_default"]
        )
        func directInsert(table: String) async throws {
            try await withTestDatabase { client in
                try await client.withConnection { connection in
                    try await connection.run("SET ROLE millrace_publisher")
                    try await connection.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("INSERT INTO millrace.\(table) DEFAULT VALUES")
                    }
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("SELECT nextval('millrace.events_id_seq')")
                    }
                    try await connection.run("RESET ROLE")
                }
            }
        }

        @Test("a consumer reads the log, its horizon and who holds it, and cannot publish")
        func consumer() async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{\"n\": 1}')")
                try await client.withConnection { connection in
                    try await connection.run("SET ROLE millrace_consumer")
                    #expect(try await connection.text("SELECT id::text FROM millrace.read_all()") == "1")
                    #expect(try await connection.text("SELECT scanned_to::text FROM millrace.read_page()") == "1")
                    #expect(try await connection.text("SELECT millrace.horizon()::text") == "1")
                    #expect(try await connection.text("SELECT count(*)::text FROM millrace.horizon_holders") == "0")
                    #expect(try await connection.text("SELECT id::text FROM millrace.events") == "1")
                    #expect(try await connection.text("SELECT epoch::text FROM millrace.store_info()") != nil)
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                    }
                    try await connection.run("RESET ROLE")
                }
            }
        }

        @Test("a temporary table named like one of ours changes nothing", arguments: ["streams", "events", "store"])
        func shadowing(table: String) async throws {
            try await withTestDatabase { client in
                try await client.withConnection { connection in
                    try await connection.run("CREATE TEMP TABLE \(table) (LIKE millrace.\(table))")
                    try await connection.run("SET search_path = pg_temp, millrace, public")
                    try await connection.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                    try await connection.run(
                        "SELECT millrace.append_events('{1}', '{a}', '{order}', '{1}', ARRAY['{}']::jsonb[])"
                    )
                    #expect(try await connection.text("SELECT count(*)::text FROM pg_temp.\(table)") == "0")
                    #expect(try await connection.text("SELECT count(*)::text FROM millrace.read_all()") == "2")
                    try await connection.run("DISCARD ALL")
                }
            }
        }
    }
}
