import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace migrate")
struct MigrateTests {
    @Test("names the partitions it could not make, busy or already in the default partition")
    func missedPartitions() async throws {
        try await CommandTest.with { test in
            let month = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '%', '\"events_\"YYYY_MM')"
            let next = try #require(try await test.texts(month.replacingOccurrences(of: "%", with: "1 month")).first)
            try await test.client.query(
                PostgresStatement("ALTER TABLE millrace.events DETACH PARTITION millrace.\(next)")
            )
            try await test.client.query(PostgresStatement("DROP TABLE millrace.\(next)"))
            let (busy, json) = try await test.client.withTransaction { transaction in
                try await transaction.query("SELECT count(*) FROM millrace.events_default")
                return (
                    try await test.command.run(["migrate"]), try await test.command.run(["migrate", "--json"])
                )
            }
            #expect(busy.status == 0)
            #expect(busy.error.hasPrefix("\(next) was not made, a transaction holds"))
            #expect(try json.json()["busy_partitions"] as? [String] == [next])

            let made = try await test.command.run(["migrate", "--json"])
            #expect(made.error.isEmpty)
            #expect(try made.json()["created_partitions"] as? [String] == [next])
            #expect(try made.json()["busy_partitions"] as? [String] == [])
        }
    }
}
