import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace publish")
struct PublishTests {
    @Test("says the id to repeat it with where nobody knows whether the event is stored")
    func unknownOutcome() async throws {
        try await CommandTest.with { test in
            let arguments = ["publish", "order.created", "order", "held", "{\"cents\":1}"]
            let running = try await test.client.withTransaction { transaction in
                try await transaction.query("SELECT millrace.lock_streams('{order}', '{held}')")
                let running = try await test.command.start(arguments)
                let waiting =
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                try await eventually("the event waits for its stream") { try await test.number(waiting) > 0 }
                running.interrupt()
                _ = try await running.result()
                return running
            }
            let unknown = try await running.result()
            #expect(unknown.status == 4)
            let words = unknown.error.split(whereSeparator: { " ,\n".contains($0) }).map(String.init)
            let option = try #require(words.firstIndex(of: "--id"), "\(unknown.error)")
            let id = try #require(UUID(uuidString: words[option + 1]))
            for wasRepeated in [false, true] {
                let settled = try await test.command.run(arguments + ["--id", id.uuidString, "--json"])
                #expect(settled.status == 0, "\(settled.error)")
                #expect(try settled.json()["event_id"] as? String == id.uuidString.lowercased())
                if wasRepeated { #expect(try settled.json()["repeated"] as? Bool == true) }
            }
            #expect(try await test.events == 1)
        }
    }

    @Test("stores what standard input says, and refuses what is not UTF-8, empty or endless")
    func standardInput() async throws {
        try await CommandTest.with { test in
            let arguments = ["publish", "order.created", "order", "1", "-"]
            let stored = try await test.command.run(arguments, input: Data("{\"name\":\n \"Grüße 🙂\"}\n".utf8))
            #expect(stored.status == 0, "\(stored.error)")
            #expect(try await test.texts("SELECT event_data::text FROM millrace.events") == ["{\"name\": \"Grüße 🙂\"}"])

            let broken = try await test.command.run(arguments, input: Data([0x22, 0xC3, 0x28, 0x22]))
            #expect(broken.status == 65)
            #expect(broken.error.contains("UTF8"), "\(broken.error)")
            #expect(try await test.command.run(arguments).status == 65)
            let words = ["publish", "order.created", "order", "1"]
            let argument = try await test.command.shell("% \"$(printf '\"\\377\"')\"", words)
            #expect(argument.status == 64)
            #expect(argument.error.contains("is not UTF-8"), "\(argument.error)")
            let endless = try await test.command.pipe("cat /dev/zero", into: arguments)
            #expect(endless.status == 65)
            #expect(endless.error.contains("64 MiB"))
            #expect(try await test.events == 1)
        }
    }
}
