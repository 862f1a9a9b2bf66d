import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("the fence and the horizon")
    struct FenceTests {
        static let heldFences = """
            SELECT count(*)::text FROM pg_locks
            WHERE locktype = 'advisory' AND classid::bigint >> 16 = x'4D52'::bigint AND mode = 'ShareLock'
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
        static let publish = "SELECT millrace.publish_event('a', '1', 'o', '{}')"
        static let horizon = "SELECT millrace.horizon()::text"

        static func seen(_ client: PostgresClient) async throws -> [String?] {
            try await client.texts("SELECT id::text FROM millrace.read_all()")
        }

        @Test("an open transaction holds the horizon below its first position until it ends")
        func holds() async throws {
            try await withTestDatabase { client in
                try await client.run(Self.publish)
                try await client.withTransaction { transaction in
                    try await transaction.run("SELECT millrace.publish_event('slow', '2', 'o', '{}')")
                    try await client.run(Self.publish)
                    #expect(try await client.text(Self.horizon) == "1")
                    #expect(try await Self.seen(client) == ["1"])
                }
                #expect(try await client.text(Self.horizon) == "3")
                #expect(try await Self.seen(client) == ["1", "2", "3"])
            }
        }

        @Test("200,000 events in one transaction hold one lock")
        func oneLock() async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { transaction in
                    try await transaction.run("SET LOCAL millrace.notify_on_publish = off")
                    try await transaction.query(
                        "SELECT count(millrace.publish_event('a', (n % 50000)::text, 'o', '{}')) FROM generate_series(1, 200000) AS n",
                        [],
                        timeout: .seconds(300)
                    )
                    #expect(try await transaction.text(Self.heldFences) == "1")
                    #expect(try await client.text(Self.horizon) == "0")
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "200000")
                #expect(try await client.text(Self.heldFences) == "0")
            }
        }

        @Test(
            "whatever stands in millrace.fence, no reader skips",
            arguments: [
                "", "0", "2", "999999999", "-1", "281474976710655", "nonsense", "1e3", "99999999999999999999", " 1",
            ]
        )
        func forged(value: String) async throws {
            try await withTestDatabase { client in
                for _ in 1...3 { try await client.run(Self.publish) }
                try await client.withTransaction { transaction in
                    try await transaction.run("SET LOCAL millrace.fence = '\(value)'")
                    try await transaction.run("SELECT millrace.publish_event('slow', '2', 'o', '{}')")
                    try await client.run(Self.publish)
                    let horizon = Int(try await client.text(Self.horizon) ?? "") ?? .max
                    #expect(horizon < 4)
                    // Reset in the middle: the first fence stays held.
                    try await transaction.run("SET LOCAL millrace.fence = ''")
                    try await transaction.run("SELECT millrace.publish_event('slow', '2', 'o', '{}')")
                    try await client.run(Self.publish)
                    #expect((Int(try await client.text(Self.horizon) ?? "") ?? .max) < 4)
                }
                #expect(try await Self.seen(client).count == 7)
            }
        }

        @Test("a rolled-back savepoint takes lock and setting with it, and the next append fences anew")
        func savepoint() async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { transaction in
                    try await transaction.run("SAVEPOINT s")
                    try await transaction.run(Self.publish)
                    #expect(try await transaction.text(Self.heldFences) == "1")
                    try await transaction.run("ROLLBACK TO SAVEPOINT s")
                    #expect(try await transaction.text(Self.heldFences) == "0")
                    #expect(
                        try await transaction.text("SELECT nullif(current_setting('millrace.fence', true), '')") == nil
                    )

                    try await client.run("SELECT millrace.publish_event('other', '9', 'o', '{}')")
                    try await transaction.run(Self.publish)
                    #expect(try await client.text(Self.horizon) == "2")
                    try await client.run("SELECT millrace.publish_event('other', '9', 'o', '{}')")
                    #expect(try await Self.seen(client) == ["2"])
                }
                #expect(try await Self.seen(client) == ["2", "3", "4"])
            }
        }

        @Test("a released savepoint and a PL/pgSQL block leave lock and setting to the transaction")
        func subtransactions() async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { transaction in
                    try await transaction.run(
                        """
                        DO $$ BEGIN
                            BEGIN PERFORM millrace.publish_event('kept', '1', 'o', '{}');
                            EXCEPTION WHEN division_by_zero THEN NULL; END;
                            BEGIN PERFORM millrace.publish_event('lost', '1', 'o', '{}'); PERFORM 1 / 0;
                            EXCEPTION WHEN division_by_zero THEN NULL; END;
                        END $$
                        """
                    )
                    try await client.run("SELECT millrace.publish_event('other', '9', 'o', '{}')")
                    #expect(try await transaction.text(Self.heldFences) == "1")
                    #expect(try await client.text(Self.horizon) == "0")
                }
                #expect(try await Self.seen(client) == ["1", "3"])
            }
        }

        @Test("who holds the horizon is named, with the command that settles it")
        func holders() async throws {
            try await withTestDatabase { client in
                try await client.withConnection { connection in
                    try await connection.run("SET application_name = 'idle publisher'")
                    try await connection.withTransaction { transaction in
                        try await transaction.run(Self.publish)
                        try await client.run("SELECT millrace.publish_event('other', '9', 'o', '{}')")
                        let named = try await client.text(
                            """
                            SELECT format('%s %s %s %s, %s, %s, %s', fence, positions_behind, pid, application_name, state,
                                settle_with, age > interval '0')
                            FROM millrace.horizon_holders
                            """
                        )
                        let pid = connection.backendProcessID
                        #expect(
                            named
                                == "0 2 \(pid) idle publisher, idle in transaction, SELECT pg_terminate_backend(\(pid)), t"
                        )
                    }
                    try await connection.run("RESET application_name")
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.horizon_holders") == "0")
            }
        }

        @Test("a prepared transaction holds the horizon, and is named by its gid")
        func prepared() async throws {
            try await withTestDatabase { client in
                guard try await client.text("SHOW max_prepared_transactions") != "0" else { return }
                let gid = "tested \(try await client.text("SELECT current_database()::text") ?? "")"
                try await client.withConnection { connection in
                    try await connection.run("BEGIN")
                    try await connection.run("SET LOCAL millrace.notify_on_publish = off")
                    try await connection.run(Self.publish)
                    try await connection.run("PREPARE TRANSACTION '\(gid)'")
                }
                try await client.run("SELECT millrace.publish_event('other', '9', 'o', '{}')")
                #expect(try await client.text(Self.horizon) == "0")
                let named = try await client.text(
                    "SELECT format('%s, %s, %s, %s %s', gid, state, owner, pid, age > interval '0') FROM millrace.horizon_holders"
                )
                let owner = try await client.text("SELECT current_user::text") ?? ""
                let command = try await client.text("SELECT settle_with FROM millrace.horizon_holders")
                #expect(command == "COMMIT PREPARED '\(gid)' or ROLLBACK PREPARED '\(gid)'")
                try await client.run("COMMIT PREPARED '\(gid)'")
                #expect(named == "\(gid), prepared, \(owner),  t")
                #expect(try await Self.seen(client) == ["1", "2"])
            }
        }

        @Test("the horizon works for a role that may see no statistics, and looks at this database only")
        func unprivileged() async throws {
            try await withTestDatabase { client in
                try await withTestDatabase { other in
                    try await client.run(Self.publish)
                    try await other.withTransaction { transaction in
                        try await transaction.run(Self.publish)
                        try await client.withConnection { connection in
                            try await connection.run("SET ROLE millrace_consumer")
                            #expect(try await connection.text(Self.horizon) == "1")
                            try await connection.run("RESET ROLE")
                        }
                    }
                }
            }
        }

        @Test("a commit is forced to disk whatever the caller set", arguments: ["off", "local", "remote_write"])
        func synchronousCommit(setting: String) async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { transaction in
                    try await transaction.run("SET LOCAL synchronous_commit = \(setting)")
                    try await transaction.run(Self.publish)
                    #expect(try await transaction.text("SHOW synchronous_commit") == "on")
                }
                try await client.withTransaction { transaction in
                    try await transaction.run("SET LOCAL synchronous_commit = remote_apply")
                    try await transaction.run(Self.publish)
                    #expect(try await transaction.text("SHOW synchronous_commit") == "remote_apply")
                }
            }
        }

        @Test("the sequence hoards nothing, and its absence is an error and not a zero")
        func sequence() async throws {
            try await withTestDatabase { client in
                #expect(
                    try await client.text(
                        "SELECT seqcache::text FROM pg_sequence WHERE seqrelid = 'millrace.events_id_seq'::regclass"
                    )
                        == "1"
                )
                try await client.withConnection { connection in
                    // A member that owns the function but not the sequence.
                    try await connection.script(
                        """
                        GRANT CREATE ON SCHEMA millrace TO millrace_admin;
                        ALTER FUNCTION millrace.horizon() OWNER TO millrace_admin;
                        GRANT EXECUTE ON FUNCTION millrace.refuse_unseen_sequence() TO millrace_admin;
                        """
                    )
                    try await expectRefusal("MR009", "events_id_seq") { try await connection.run(Self.horizon) }
                }
            }
        }
    }
}
