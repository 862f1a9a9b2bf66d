import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("A named import")
struct ResumeTests {
    private func lines(_ count: Int) -> [String] {
        (1...count).map { ImportTests.line("s\($0 % 7)", "{\"n\":\($0)}") }
    }

    @Test("stores nothing new the second time, and only what was added to its input the third")
    func again() async throws {
        try await CommandTest.with { test in
            let all = lines(30)
            let file = try test.folder.file(named: "log.ndjson", lines: Array(all.prefix(20)))
            #expect(try await test.command.run(["import", file, "--batch", "6"]).status == 0)
            let again = try await test.command.run(["import", file])
            #expect(again.status == 0)
            #expect(
                again.output
                    == "Nothing new: import “log.ndjson” has dealt with all 20 lines of \(file) already, and stored 20 events.\n"
            )
            #expect(try await test.events == 20)
            _ = try test.folder.file(named: "log.ndjson", lines: all)
            let grown = try await test.command.run(["import", file, "--json"])
            #expect(try grown.json()["events_stored"] as? Int == 10)
            #expect(try grown.json()["resumed_after"] as? Int == 20)
            #expect(try await test.eventsEqual(to: all) == 30)
            let finished = try await test.number("SELECT count(finished_at) FROM millrace.imports WHERE lines = 30")
            #expect(finished == 1)
        }
    }

    @Test("of nothing stores nothing, and begins when there is something")
    func empty() async throws {
        try await CommandTest.with { test in
            let file = try test.folder.file(named: "later.ndjson", text: "")
            let nothing = try await test.command.run(["import", file])
            #expect(nothing.status == 0, "\(nothing.error)")
            #expect(nothing.output == "\(file) is empty: nothing was stored.\n")
            let all = lines(3)
            _ = try test.folder.file(named: "later.ndjson", lines: all)
            #expect(try await test.command.run(["import", file]).status == 0)
            #expect(try await test.eventsEqual(to: all) == 3)
        }
    }

    @Test("refuses another input, and one that is shorter, and stores nothing of it")
    func otherInput() async throws {
        try await CommandTest.with { test in
            var all = lines(10)
            let file = try test.folder.file(named: "a.ndjson", lines: all)
            #expect(try await test.command.run(["import", file, "--name", "shared"]).status == 0)
            all[4] = ImportTests.line("s5", "{\"n\":\"changed\"}")
            let other = try test.folder.file(named: "b.ndjson", lines: all + lines(5))
            let refused = try await test.command.run(["import", other, "--name", "shared"])
            #expect(refused.status == 65)
            #expect(refused.error.contains("its first 10 lines are not those of \(other)"))
            #expect(refused.error.contains("--name"))
            let short = try test.folder.file(named: "c.ndjson", lines: lines(3))
            let shorter = try await test.command.run(["import", short, "--name", "shared"])
            #expect(shorter.status == 65)
            #expect(shorter.error.contains("has only 3"))
            #expect(try await test.events == 10)
        }
    }

    @Test("from standard input has a name that follows from its first line")
    func standardInput() async throws {
        try await CommandTest.with { test in
            let file = try test.folder.file(named: "piped.ndjson", lines: lines(12))
            let first = try await test.command.pipe("cat \(file.shellQuoted)", into: ["import", "-", "--json"])
            #expect(first.status == 0, "\(first.error)")
            let name = try #require(try first.json()["import"] as? String)
            #expect(name.hasPrefix("stdin-"))
            let again = try await test.command.pipe("cat \(file.shellQuoted)", into: ["import", "--json"])
            #expect(try again.json()["import"] as? String == name)
            #expect(try again.json()["events_stored"] as? Int == 0)
            #expect(try await test.events == 12)
        }
    }

    @Test("that was killed in the middle of a chunk goes on, and stores every line once")
    func killed() async throws {
        try await CommandTest.with { test in
            var all = lines(40)
            // The stream that stops the import in its third chunk.
            all[24] = ImportTests.line("held", "{}")
            all[30] = "broken"
            let file = try test.folder.file(named: "killed.ndjson", lines: all)
            let aside = test.folder.path + "/bad.ndjson"
            let arguments = ["import", file, "--batch", "10", "--skip-bad", aside]
            try await test.client.withTransaction { transaction in
                try await transaction.query("SELECT millrace.lock_streams('{order}', '{held}')")
                let running = try await test.command.start(arguments)
                try await eventually("the import waits for the stream in its third chunk") {
                    let lines = try await test.number("SELECT coalesce(max(lines), 0) FROM millrace.imports")
                    let waiting = try await test.number(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    )
                    return lines == 20 && waiting > 0
                }
                running.kill()
                #expect(try await running.result().status == SIGKILL)
            }
            // The server may not have noticed yet, and may store the third chunk behind our back: once all the same.
            let resumed = try await test.command.run(arguments)
            #expect(resumed.status == 0, "\(resumed.error)")
            let good = all.filter { $0 != "broken" }
            #expect(try await test.events == 39)
            #expect(try await test.eventsEqual(to: good) == 39)
            let entries = try String(contentsOfFile: aside, encoding: .utf8).split(separator: "\n")
            #expect(entries.count == 1)
            #expect(entries.first?.contains("\"line\":31") == true)
        }
    }

    @Test("whose backend is ended in the middle of a chunk tries again by itself")
    func terminated() async throws {
        try await CommandTest.with { test in
            var all = lines(30)
            all[14] = ImportTests.line("held", "{}")
            let file = try test.folder.file(named: "cut.ndjson", lines: all)
            let running = try await test.client.withTransaction { transaction in
                try await transaction.query("SELECT millrace.lock_streams('{order}', '{held}')")
                let running = try await test.command.start(["import", file, "--batch", "10"])
                let ended = """
                    SELECT count(*) FROM (
                        SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l
                        JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datname = current_database()
                        WHERE NOT l.granted AND l.locktype IN ('transactionid', 'tuple')
                    ) AS t
                    """
                try await eventually("the import waits for the stream") { try await test.number(ended) > 0 }
                return running
            }
            let result = try await running.result()
            #expect(result.status == 0, "\(result.error)")
            #expect(try await test.eventsEqual(to: all) == 30)
            #expect(try await test.events == 30)
        }
    }

    @Test("goes on in a file of bad lines only where it is its own")
    func otherBadLines() async throws {
        try await CommandTest.with { test in
            let file = try test.folder.file(named: "x.ndjson", lines: ["bad"] + lines(2))
            let precious = try test.folder.file(named: "precious.txt", lines: ["do not lose me"])
            let refused = try await test.command.run(["import", file, "--skip-bad", precious])
            #expect(refused.status == 65)
            #expect(refused.error.contains("holds something else"))
            #expect(try String(contentsOfFile: precious, encoding: .utf8) == "do not lose me\n")
            #expect(try await test.events == 0)
        }
    }

    /// What a file may end with that no import wrote: a document, an entry of another import.
    static let foreignEndings = [
        "do not lose me", "{\"line\":1}", "{\"import\":\"other\",\"line\":1", "{\"import\":\"x.ndjson2\"",
    ]

    @Test("leaves a file alone whose end is not its own, newline or not", arguments: foreignEndings, ["", "\n"])
    func foreignEnding(ending: String, newline: String) async throws {
        try await CommandTest.with { test in
            let file = try test.folder.file(named: "x.ndjson", lines: ["bad"] + lines(2))
            // The entry in front is past what the import has dealt with, and would be taken out.
            for entry in ["", "{\"import\":\"x.ndjson\",\"line\":1,\"reason\":\"r\",\"text\":\"bad\"}\n"] {
                let text = entry + ending + newline
                let precious = try test.folder.file(named: "precious.ndjson", text: text)
                let refused = try await test.command.run(["import", file, "--skip-bad", precious])
                #expect(refused.status == 65)
                #expect(refused.error.contains("holds something else"))
                #expect(try String(contentsOfFile: precious, encoding: .utf8) == text)
            }
            #expect(try await test.events == 0)
        }
    }

    @Test("takes a torn entry of its own out, wherever it is torn", arguments: [0, 1, 15, 24, 40])
    func tornEntry(length: Int) async throws {
        try await CommandTest.with { test in
            let file = try test.folder.file(named: "x.ndjson", lines: ["bad"] + lines(2))
            let entry = "{\"import\":\"x.ndjson\",\"line\":1,\"reason\":\"r\",\"text\":\"bad\"}"
            let aside = try test.folder.file(named: "bad.ndjson", text: String(entry.prefix(length)))
            let result = try await test.command.run(["import", file, "--skip-bad", aside])
            #expect(result.status == 0, "\(result.error)")
            let entries = try String(contentsOfFile: aside, encoding: .utf8).split(separator: "\n")
            #expect(entries.count == 1)
            #expect(entries.first?.hasSuffix("\"text\":\"bad\"}") == true)
        }
    }
}

@Suite("Real data is imported")
struct RealDataTests {
    private static let orders = "olist-orders.ndjson.gz"
    private static let webhooks = "github-webhooks.ndjson.gz"

    private func unzipped(_ name: String, _ test: CommandTest) async throws -> [String] {
        let target = test.folder.path + "/" + name + ".txt"
        let unzip = try await Running(
            "/bin/sh",
            ["-c", "gunzip -c \(RealData.path(name).shellQuoted) > \(target.shellQuoted)"],
            nil,
            test.folder
        )
        #expect(try await unzip.result().status == 0)
        return try String(contentsOfFile: target, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    @Test(
        "54,395 orders through a pipe, all once, in file order within each of 8,135 streams",
        .enabled(if: RealData.isPresent(orders), "the data of the marketplace is not beside the package")
    )
    func marketplace() async throws {
        try await CommandTest.with { test in
            let lines = try await unzipped(Self.orders, test)
            let pipe = "gunzip -c \(RealData.path(Self.orders).shellQuoted)"
            let result = try await test.command.pipe(pipe, into: ["import", "-"])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.contains("Stored 54,395 events from 54,395 lines of standard input"))
            #expect(try await test.events == 54_395)
            #expect(try await test.number("SELECT count(*) FROM millrace.streams") == 8_135)
            #expect(try await test.eventsEqual(to: lines) == 54_395)
            let again = try await test.command.pipe(pipe, into: ["import", "-"])
            #expect(again.output.hasPrefix("Nothing new: "))
            #expect(try await test.events == 54_395)
        }
    }

    @Test(
        "255 webhooks of 159 types, equal to the input as JSON",
        .enabled(if: RealData.isPresent(webhooks), "the webhooks are not beside the package")
    )
    func webhookPayloads() async throws {
        try await CommandTest.with { test in
            let lines = try await unzipped(Self.webhooks, test)
            let pipe = "gunzip -c \(RealData.path(Self.webhooks).shellQuoted)"
            let result = try await test.command.pipe(pipe, into: ["import", "-", "--name", "webhooks"])
            #expect(result.status == 0, "\(result.error)")
            #expect(try await test.eventsEqual(to: lines) == 255)
            #expect(try await test.number("SELECT count(DISTINCT event_type) FROM millrace.events") == 159)
        }
    }
}
