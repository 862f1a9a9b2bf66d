import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("privileges")
    struct PrivilegeTests {
        /// Who may call what: everything that is granted, and nothing else.
        static let callable: [String: Set<String>] = [
            "append_event": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "append_events": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "begin_import_chunk": ["millrace_importer"],
            "check_import_lines": ["millrace_importer", "millrace_admin"],
            "finish_import_chunk": ["millrace_importer"],
            "horizon": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "import_lines": ["millrace_importer", "millrace_admin"],
            "last_committed_position": ["millrace_consumer", "millrace_admin"],
            "latest_position": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
            "list_horizon_holders": ["millrace_consumer", "millrace_admin"],
            "lock_streams": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "make_partitions": ["millrace_admin"],
            "publish_event": ["millrace_publisher", "millrace_importer", "millrace_admin"],
            "read_all": ["millrace_consumer", "millrace_admin"],
            "read_import": ["millrace_importer", "millrace_admin"],
            "read_page": ["millrace_consumer", "millrace_admin"],
            "read_stream": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "rebuild_aggregate": ["millrace_publisher", "millrace_consumer", "millrace_admin"],
            "begin_page": ["millrace_consumer", "millrace_admin"],
            "close_months": ["millrace_admin"],
            "store_info": ["millrace_publisher", "millrace_consumer", "millrace_importer", "millrace_admin"],
        ]

        @Test("every function that a role may call is a definer with our search path, every other one is an invoker")
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
                #expect(definers == Set(Self.callable.keys))
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
                #expect(granted == Self.callable)
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
