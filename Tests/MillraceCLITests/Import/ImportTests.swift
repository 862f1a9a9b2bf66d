import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace import")
struct ImportTests {
    static func line(_ id: String, _ data: String, more: String = "") -> String {
        #"{"event_type":"order.created","aggregate_type":"order","aggregate_id":"\#(id)","event_data":\#(data)\#(more)}"#
    }

    @Test("stores what the lines say, numbers and text exactly, whatever ends the lines")
    func exact() async throws {
        try await CommandTest.with { test in
            let text =
                "\u{FEFF}"
                + Self.line("1", #"{"amount":1.10,"large":12345678901234567890,"tiny":1e-30,"name":"Grüße 🙂 \u0041"}"#)
                + "\r\n\n   \n"
                + Self.line(
                    "1",
                    "[1, null, true]",
                    more: #","occurred_at":"2016-09-04T21:15:19.123456+02:00","metadata":{"a":1.50}"#
                )
                + "\n" + Self.line("2", "null", more: #","occurred_at":null,"metadata":null,"event_id":null"#)
            let file = try test.folder.file(named: "exact.ndjson", text: text)
            let result = try await test.command.run(["import", file])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.hasPrefix("Stored 3 events from 5 lines of \(file) in "))
            #expect(result.output.contains("import “exact.ndjson”"))
            #expect(result.error.isEmpty)
            let data = try await test.texts("SELECT event_data::text FROM millrace.events ORDER BY id")
            #expect(
                data == [
                    #"{"name": "Grüße 🙂 A", "tiny": 0.000000000000000000000000000001, "large": 12345678901234567890, "amount": 1.10}"#,
                    "[1, null, true]", "null",
                ]
            )
            let second = try await test.texts(
                "SELECT (occurred_at AT TIME ZONE 'UTC')::text || ' ' || metadata::text || ' ' || version FROM millrace.events "
                    + "WHERE version = 2"
            )
            #expect(second == [#"2016-09-04 19:15:19.123456 {"a": 1.50} 2"#])
            let third = try await test.number(
                "SELECT count(*) FROM millrace.events WHERE aggregate_id = '2' AND metadata IS NULL AND occurred_at = created_at"
            )
            #expect(third == 1)
        }
    }

    @Test("stops at a line that is no event, with everything before it stored, and goes on once it is mended")
    func stopsAtABadLine() async throws {
        try await CommandTest.with { test in
            var lines = (1...9).map { Self.line("a", "{\"n\":\($0)}") }
            lines[6] = "{\"event_type\": oops"
            let file = try test.folder.file(named: "orders.ndjson", lines: lines)
            let broken = try await test.command.run(["import", file, "--batch", "4"])
            #expect(broken.status == 65)
            #expect(broken.error.contains("line 7 of \(file) is refused: "))
            #expect(broken.error.contains("--skip-bad"))
            #expect(broken.error.split(separator: "\n").count == 1)
            #expect(try await test.events == 6)

            lines[6] = Self.line("a", "{\"n\":7}")
            _ = try test.folder.file(named: "orders.ndjson", lines: lines)
            let mended = try await test.command.run(["import", file, "--batch", "4"])
            #expect(mended.status == 0, "\(mended.error)")
            #expect(mended.output.contains("Stored 3 events from 3 lines"))
            #expect(mended.output.contains("went on after line 6"))
            #expect(try await test.eventsEqual(to: lines) == 9)
        }
    }

    /// What is wrong, and a word of the reason.
    static let badLines: [(String, String)] = [
        ("not JSON", "json"),
        (#"{"event_type":"a","aggregate_type":"b","aggregate_id":"c","event_data":{}"#, "json"),
        (#"["event_type"]"#, "array"),
        (#"{"aggregate_type":"b","aggregate_id":"c","event_data":{}}"#, "event_type is missing"),
        (#"{"event_type":"a","aggregate_id":"c","event_data":{}}"#, "aggregate_type is missing"),
        (#"{"event_type":"a","aggregate_type":"b","event_data":{}}"#, "aggregate_id is missing"),
        (#"{"event_type":"a","aggregate_type":"b","aggregate_id":"c"}"#, "event_data is missing"),
        (#"{"event_type":"","aggregate_type":"b","aggregate_id":"c","event_data":{}}"#, "event_type is empty"),
        (#"{"event_type":1,"aggregate_type":"b","aggregate_id":"c","event_data":{}}"#, "event_type is a JSON number"),
        (
            #"{"event_type":"a","aggregate_type":"b","aggregate_id":42,"event_data":{}}"#,
            "aggregate_id is a JSON number"
        ),
        (line(String(repeating: "x", count: 256), "{}"), "aggregate_id is 256 characters long"),
        (line("1", #"{"nul":"\u0000"}"#), "Unicode"),
        (line("1", #"{"half":"\ud83d"}"#), "json"),
        (line("1", #"{"huge":1e400000}"#), "numeric"),
        (line("1", String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000)), "depth"),
        (line("1", "{}", more: #","metadata":[]"#), "metadata is a JSON array"),
        (line("1", "{}", more: #","occurred_at":"tomorrow""#), "occurred_at"),
        (line("1", "{}", more: #","occurred_at":"2026-02-30T00:00:00Z""#), "occurred_at"),
        (line("1", "{}", more: #","occurred_at":"2026-02-03 10:00:00""#), "occurred_at"),
        (line("1", "{}", more: #","event_id":"42""#), "event_id is not a UUID"),
        (line("1", "{}", more: #","metdata":{}"#), "metdata"),
        (line("1", "{}", more: #","payload":"?""#), "base64"),
        (line("1", "\"" + String(repeating: "x", count: 1 << 20) + "\""), "the limit is"),
    ]

    @Test("sets lines that are no events aside, with number and reason, and stores the others in their order")
    func skipBad() async throws {
        try await CommandTest.with { test in
            var lines: [String] = []
            for (index, bad) in Self.badLines.enumerated() {
                lines += [Self.line("good", "{\"n\":\(index)}"), bad.0]
            }
            lines.append(Self.line("good", "\"last\""))
            let file = try test.folder.file(named: "mixed.ndjson", lines: lines)
            let aside = test.folder.path + "/bad.ndjson"
            let result = try await test.command.run(["import", file, "--skip-bad", aside, "--batch", "10", "--json"])
            #expect(result.status == 0, "\(result.error)")
            let report = try result.json()
            #expect(report["events_stored"] as? Int == Self.badLines.count + 1)
            #expect(report["lines_set_aside"] as? Int == Self.badLines.count)
            #expect(report["lines"] as? Int == lines.count)
            #expect(try await test.events == Int64(Self.badLines.count + 1))
            let good = lines.filter { $0.contains(#""aggregate_id":"good""#) }
            #expect(try await test.eventsEqual(to: good) == Int64(good.count))

            let entries = try String(contentsOfFile: aside, encoding: .utf8).split(separator: "\n")
            #expect(entries.count == Self.badLines.count)
            for (index, entry) in entries.enumerated() {
                let object = try #require(try JSONSerialization.jsonObject(with: Data(entry.utf8)) as? [String: Any])
                let (bad, reason) = Self.badLines[index]
                #expect(object["line"] as? Int == 2 * index + 2)
                #expect(object["text"] as? String == bad)
                #expect(object["import"] as? String == "mixed.ndjson")
                let said = try #require(object["reason"] as? String)
                #expect(said.contains(reason), "line \(2 * index + 2) is refused with “\(said)”")
            }
        }
    }

    @Test("keeps what is not UTF-8, and the beginning of what is too long, beside the reason")
    func unreadableLines() async throws {
        try await CommandTest.with { test in
            var input = Data(Self.line("1", "{}").utf8) + [0x0A, 0x22, 0xFF, 0xFE, 0x22, 0x0A]
            input += Data(repeating: 0x20, count: 16 << 20) + Data("tail\n".utf8) + Data(Self.line("1", "{}").utf8)
            let file = try test.folder.file("odd", input)
            let aside = test.folder.path + "/bad.ndjson"
            let result = try await test.command.run(["import", file, "--name", "odd", "--skip-bad", aside])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.contains("2 bad lines are set aside in \(aside)."))
            #expect(try await test.events == 2)
            let entries = try String(contentsOfFile: aside, encoding: .utf8).split(separator: "\n").map { entry in
                try JSONSerialization.jsonObject(with: Data(entry.utf8)) as? [String: Any] ?? [:]
            }
            let odd = try #require(entries.first { $0["line"] as? Int == 2 })
            #expect(odd["base64"] as? String == Data([0x22, 0xFF, 0xFE, 0x22]).base64EncodedString())
            let long = try #require(entries.first { $0["line"] as? Int == 3 })
            #expect(long["bytes_cut"] as? Int == 4)
            #expect((long["reason"] as? String)?.contains("longer than 16,777,216 bytes") == true)
        }
    }

    @Test("counts an event that its stream has already, and refuses an id that another stream has")
    func eventIDs() async throws {
        try await CommandTest.with { test in
            let ids = (0..<3).map { _ in UUID().uuidString.lowercased() }
            let lines = ids.map { Self.line("1", "{}", more: #","event_id":"\#($0)""#) }
            let file = try test.folder.file(named: "ids.ndjson", lines: lines)
            #expect(try await test.command.run(["import", file]).status == 0)
            let again = try await test.command.run(["import", file, "--name", "again"])
            #expect(again.status == 0, "\(again.error)")
            #expect(again.output.contains("3 events were stored already, by their ids."))
            #expect(try await test.events == 3)

            let taken = Self.line("2", "{}", more: #","event_id":"\#(ids[1])""#)
            let other = try test.folder.file(named: "taken.ndjson", lines: [Self.line("2", "{}"), taken])
            let refused = try await test.command.run(["import", other])
            #expect(refused.status == 65)
            #expect(refused.error.contains("line 2"))
            #expect(refused.error.contains("the event id \(ids[1]) is taken by an event of stream order/1"))
            #expect(try await test.events == 4)
        }
    }

    @Test("reads back what millrace read --json writes")
    func roundTrip() async throws {
        try await CommandTest.with { test in
            let lines = (1...5).map { Self.line("1", "{\"n\":\($0).00}", more: #","metadata":{"k":"v"}"#) }
            let file = try test.folder.file(named: "five.ndjson", lines: lines)
            #expect(try await test.command.run(["import", file]).status == 0)
            let written = try await test.command.run(["read", "--json"])
            #expect(written.status == 0, "\(written.error)")
            try await CommandTest.with { other in
                let result = try await other.command.run(
                    ["import", "-", "--name", "copy"],
                    input: Data(written.output.utf8)
                )
                #expect(result.status == 0, "\(result.error)")
                let columns =
                    "SELECT to_jsonb(e)::text FROM (SELECT event_id, event_data, metadata, occurred_at, version "
                let all = columns + "FROM millrace.events ORDER BY id) AS e"
                let (ours, theirs) = (try await test.texts(all), try await other.texts(all))
                #expect(ours == theirs)
                #expect(theirs.count == 5)
            }
        }
    }

    @Test("names what it cannot read")
    func unreadableInput() async throws {
        try await CommandTest.with { test in
            let missing = try await test.command.run(["import", "/nowhere/orders.ndjson"])
            #expect(missing.status == 65)
            #expect(missing.error == "millrace: /nowhere/orders.ndjson cannot be read: No such file or directory\n")
            let zipped = try test.folder.file("zipped", Data([0x1F, 0x8B, 8, 0, 0]))
            let refused = try await test.command.run(["import", zipped])
            #expect(refused.status == 65)
            #expect(refused.error.contains("is compressed: gunzip -c"))
            #expect(try await test.number("SELECT count(*) FROM millrace.imports") == 0)
        }
    }
}
