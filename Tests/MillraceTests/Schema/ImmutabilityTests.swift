import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("what is stored never changes")
    struct ImmutabilityTests {
        static func relations(_ session: some PostgresSession) async throws -> [String] {
            try await session.texts(
                "SELECT relid::text FROM pg_partition_tree('millrace.events') ORDER BY relid::text"
            ).compactMap { $0 }
        }

        @Test(
            "UPDATE, DELETE and TRUNCATE are refused on the parent, every partition and new ones, even for the owner",
            arguments: ["origin", "replica", "local"]
        )
        func events(replicationRole: String) async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                try await client.run("SELECT millrace.make_partitions(6)")
                try await client.withConnection { connection in
                    try await connection.run("SET session_replication_role = \(replicationRole)")
                    let relations = try await Self.relations(connection)
                    #expect(relations.count == 9)
                    for relation in relations {
                        for change in [
                            "UPDATE \(relation) SET event_type = 'b'", "DELETE FROM \(relation)",
                            "TRUNCATE \(relation)",
                            "DELETE FROM \(relation) WHERE false",
                        ] {
                            try await expectRefusal("MR007", "never changes") { try await connection.run(change) }
                        }
                    }
                    try await expectRefusal("MR007") {
                        try await connection.run(
                            """
                            MERGE INTO millrace.events AS e USING (VALUES (1)) AS v (id) ON e.id = v.id
                            WHEN MATCHED THEN DELETE
                            """
                        )
                    }
                    #expect(try await connection.text("SELECT event_type FROM millrace.events") == "a")
                    try await connection.run("RESET session_replication_role")
                }
            }
        }

        @Test("a stream is not deleted, emptied, renamed or set back", arguments: ["origin", "replica"])
        func streams(replicationRole: String) async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'order', '{}')")
                try await client.withConnection { connection in
                    try await connection.run("SET session_replication_role = \(replicationRole)")
                    for change in [
                        "DELETE FROM millrace.streams", "TRUNCATE millrace.streams",
                        "UPDATE millrace.streams SET version = 0",
                        "UPDATE millrace.streams SET version = version",
                        "UPDATE millrace.streams SET first_event_at = first_event_at + interval '1 hour', version = version + 1",
                        "UPDATE millrace.streams SET last_event_at = '-infinity', version = version + 1",
                        "UPDATE millrace.streams SET version = version + 1, aggregate_id = '2'",
                    ] {
                        try await expectRefusal("MR007", "never changes") { try await connection.run(change) }
                    }
                    try await connection.run("RESET session_replication_role")
                }
            }
        }

        @Test("every partition, the default one too, has the unique constraints and the trigger")
        func partitionsAreGuarded() async throws {
            try await withTestDatabase { client in
                let unguarded = try await client.texts(
                    """
                    SELECT t.relid::text
                    FROM pg_partition_tree('millrace.events') AS t
                    WHERE t.isleaf
                      AND ((SELECT count(*) FROM pg_constraint AS c WHERE c.conrelid = t.relid AND c.contype IN ('p', 'u')) <> 3
                           OR (SELECT count(*) FROM pg_trigger AS g WHERE g.tgrelid = t.relid AND g.tgenabled = 'A') <> 1)
                    """
                )
                #expect(unguarded.isEmpty)
            }
        }
    }
}
