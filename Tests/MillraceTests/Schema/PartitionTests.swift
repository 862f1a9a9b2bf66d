import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("partitions")
    struct PartitionTests {
        @Test("made twice, each is there once, and events of this month are in this month's")
        func idempotent() async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                let outcomes = try await client.texts("SELECT outcome FROM millrace.make_partitions(5)")
                #expect(outcomes == ["present", "present", "present", "present", "created", "created"])
                let there = try await client.text(
                    """
                    SELECT (c.relname = to_char(now() AT TIME ZONE 'UTC', '"events_"YYYY_MM'))::text
                    FROM millrace.events AS e JOIN pg_class AS c ON c.oid = e.tableoid
                    """
                )
                #expect(there == "true")
            }
        }

        @Test("two sessions at once make each once")
        func atOnce() async throws {
            try await withTestDatabase { client in
                let outcomes = try await withThrowingTaskGroup(of: [String?].self) { group in
                    for _ in 0..<6 {
                        group.addTask { try await client.texts("SELECT outcome FROM millrace.make_partitions(20)") }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(outcomes.filter { $0 == "created" }.count == 17)
                #expect(outcomes.allSatisfy { $0 == "created" || $0 == "present" })
            }
        }

        @Test("an idle publisher does not stop new partitions, nor do they stop an append")
        func besidesAnIdlePublisher() async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { publisher in
                    try await publisher.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                    let outcomes = try await client.texts("SELECT outcome FROM millrace.make_partitions(4)")
                    #expect(outcomes.last == "created")
                    try await client.run("SELECT millrace.publish_event('a', '2', 'o', '{}')")
                }
            }
        }

        @Test("where a reader will not let go of the default partition it is said, and nothing is left half made")
        func busy() async throws {
            try await withTestDatabase { client in
                try await client.withTransaction { reader in
                    try await reader.run("SELECT count(*) FROM millrace.events")
                    let outcomes = try await client.texts("SELECT outcome FROM millrace.make_partitions(4)")
                    #expect(outcomes == ["present", "present", "present", "present", "busy"])
                    try await client.run("SELECT millrace.publish_event('a', '2', 'o', '{}')")
                }
                #expect(
                    try await client.text(
                        "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relkind = 'r' AND relname LIKE 'events\\_2%'"
                    )
                        == "4"
                )
                #expect(try await client.texts("SELECT outcome FROM millrace.make_partitions(4)").last == "created")
            }
        }

        @Test("what has no month goes to the default, is read as ever, and its month is not made over it")
        func defaultPartition() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    "UPDATE millrace.store SET open_since = date_trunc('month', now(), 'UTC') + interval '8 months'"
                )
                try await client.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                #expect(
                    try await client.text(
                        "SELECT c.relname::text FROM millrace.events AS e JOIN pg_class AS c ON c.oid = e.tableoid"
                    )
                        == "events_default"
                )
                #expect(try await client.text("SELECT count(*)::text FROM millrace.read_stream('o', '1')") == "1")
                #expect(try await client.text("SELECT count(*)::text FROM millrace.read_all()") == "1")
                #expect(
                    try await client.texts("SELECT outcome FROM millrace.make_partitions(1)") == [
                        "in_default", "created",
                    ]
                )
            }
        }

        @Test("the publication carries the inserts of all partitions as those of one table")
        func publication() async throws {
            try await withTestDatabase { client in
                let published = try await client.text(
                    """
                    SELECT format('%s %s %s %s %s', pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate)
                    FROM pg_publication WHERE pubname = 'event_publication'
                    """
                )
                #expect(published == "t t f f f")
                #expect(
                    try await client.texts(
                        "SELECT tablename::text FROM pg_publication_tables WHERE pubname = 'event_publication'"
                    )
                        == ["events"]
                )
            }
        }

        @Test("a stream over the turn of a month is read as one, in both directions")
        func overMonths() async throws {
            try await withTestDatabase { client in
                for months in 0..<4 {
                    try await client.run(
                        "UPDATE millrace.store SET open_since = date_trunc('month', now(), 'UTC') + interval '\(months) months' WHERE \(months) > 0"
                    )
                    try await client.run(
                        "SELECT count(millrace.publish_event('a', '1', 'o', '{}')) FROM generate_series(1, 2)"
                    )
                }
                #expect(try await client.text("SELECT count(DISTINCT tableoid)::text FROM millrace.events") == "4")
                let forwards = "SELECT string_agg(version::text, '') FROM millrace.read_stream('o', '1')"
                #expect(try await client.text(forwards) == "12345678")
                let backwards = "SELECT string_agg(version::text, '') FROM millrace.read_stream('o', '1', 7, 4, true)"
                #expect(try await client.text(backwards) == "7654")
                #expect(try await client.text("SELECT string_agg(id::text, '') FROM millrace.read_all(2, 4)") == "3456")
            }
        }
    }
}
