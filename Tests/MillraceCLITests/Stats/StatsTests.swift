import Foundation
import Millrace
import MillracePostgres
import Testing

@testable import MillraceCLI

@Suite("millrace stats")
struct StatsTests {
    @Test("of a fresh store are all there and all nothing")
    func fresh() async throws {
        try await CommandTest.with { test in
            let facts = try await test.command.run(["stats", "--json"]).json()
            let events = try #require(facts["events"] as? [String: Any])
            #expect((events["count"] as? [String: Any])?["value"] as? Int == 0)
            #expect((events["count"] as? [String: Any])?["is_exact"] as? Bool == true)
            #expect((facts["streams"] as? [String: Any])?["value"] as? Int == 0)
            #expect((facts["imports"] as? [Any])?.isEmpty == true)
            #expect((facts["holders"] as? [Any])?.isEmpty == true)
            #expect((facts["partitions"] as? [Any])?.count ?? 0 >= 3)
            let text = try await test.command.run(["stats"])
            #expect(text.status == 0, "\(text.error)")
            #expect(text.output.contains("positions   none yet"))
            #expect(!text.output.contains("\u{1B}"))
        }
    }

    @Test("count events, streams and types, know the ends of the log and what waits behind the horizon")
    func filled() async throws {
        try await CommandTest.with { test in
            let lines =
                (1...1_234).map { ImportTests.line("s\($0 % 10)", "{}") } + [
                    #"{"event_type":"rare","aggregate_type":"x","aggregate_id":"1","event_data":{}}"#
                ]
            let file = try test.folder.file(named: "many.ndjson", lines: lines)
            #expect(try await test.command.run(["import", file]).status == 0)
            let text = try await test.command.run(["stats", "--top", "1"])
            #expect(text.output.contains("events      1,235\n"), "\(text.output)")
            #expect(text.output.contains("streams     11,"))
            #expect(text.output.contains("order.created   1,234  99.9 %"))
            #expect(text.output.contains("and 1 more types: --top 2"))
            #expect(text.output.contains("nothing behind it"))
            #expect(text.output.contains("many.ndjson"))

            try await test.client.withTransaction { transaction in
                try await transaction.query("SELECT millrace.publish_event('a', '1', 'b', '{}')")
                try await test.client.query("SELECT millrace.publish_event('a', '2', 'b', '{}')")
                let facts = try await test.command.run(["stats", "--json"]).json()
                let positions = try #require(facts["positions"] as? [String: Any])
                #expect(positions["events_behind"] as? Int == 1)
                #expect((facts["holders"] as? [[String: Any]])?.count == 1)
                #expect((facts["events"] as? [String: Any])?["types"] as? Int == 3)
            }
        }
    }

    @Test("show a role with few rights what it may see, and say what it may not")
    func publisher() async throws {
        try await CommandTest.with { test in
            let role = "stats_\(UInt32.random(in: 0 ... .max))"
            try await test.client.script("CREATE ROLE \(role) LOGIN; GRANT millrace_publisher TO \(role)")
            // As that role from the first statement on, whoever it is that logs in.
            let asRole = Command(database: test.command.database + " options='-c role=\(role)'", folder: test.folder)
            let result = try await asRole.run(["stats"])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.contains("events      not visible to this role"), "\(result.output)")
            let doctor = try await asRole.run(["doctor", "--json"])
            #expect(doctor.output.contains("\(role) is millrace_publisher"), "\(doctor.output) \(doctor.error)")
            try await test.client.script("DROP OWNED BY \(role); DROP ROLE \(role)")
        }
    }

    @Test("read no more of a large table than of a small one")
    func sampling() {
        let limit = StoreFacts.countedBytes
        #expect(StoreFacts.samplePercent(heapBytes: 0) == 100)
        #expect(StoreFacts.samplePercent(heapBytes: limit) == 100)
        #expect(StoreFacts.samplePercent(heapBytes: limit * 50) == 2)
        #expect(StoreFacts.count(1_000, percent: 2) == 50_000)
        #expect(StoreFacts.count(1_000, percent: 100) == 1_000)
    }
}
