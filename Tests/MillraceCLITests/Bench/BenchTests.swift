import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

@testable import MillraceCLI

@Suite("millrace bench", .serialized)
struct BenchTests {
    private static let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'millrace\\_bench\\_%'"

    @Test("--quick measures every scenario, counts what it stored, and leaves no database")
    func quick() async throws {
        try await CommandTest.with { test in
            let result = try await test.command.run(["bench", "--quick", "--json", "-"])
            #expect(result.status == 0, "\(result.error)")
            let report = try JSONDecoder.bench.decode(BenchReport.self, from: Data(result.output.utf8))
            #expect(report.form == BenchReport.form)
            #expect(!report.server.isOwn)
            #expect(report.server.settings["synchronous_commit"] == "on")
            #expect(report.machine.processors >= 1)
            #expect(report.counts.map(\.scenario) == BenchScenario.usual.map(\.rawValue))
            for count in report.counts {
                #expect(count.holds, "\(count)")
                #expect(count.appended > 0, "\(count)")
                #expect(count.peakMemoryBytes > 1 << 20)
            }
            for contest in report.contests {
                #expect(contest.entries.count >= 2, "\(contest.title)")
                #expect(contest.entries[0].ratio == nil)
                for entry in contest.entries {
                    #expect(entry.rate > 0, "\(contest.title): \(entry.name)")
                    #expect(
                        entry.rounds.allSatisfy { $0.events > 0 && $0.seconds > 0 },
                        "\(contest.title): \(entry.name)"
                    )
                }
            }
            let both = report.contests.filter { contest in ["callers", "append", "import"].contains(contest.scenario) }
            #expect(both.count >= 5)
            #expect(both.allSatisfy { Set($0.entries.map(\.kind)) == [.bare, .millrace] })
            #expect(try await test.number(BenchTests.databases) == 0)
            // The user's own database is as it was.
            #expect(try await test.events == 0)
        }
    }

    @Test("every subscriber receives every event, and the calls are counted")
    func subscribers() async throws {
        try await CommandTest.with { test in
            let result = try await test.command.run(["bench", "--quick", "--only", "fanout", "--json", "-"])
            #expect(result.status == 0, "\(result.error)")
            let report = try JSONDecoder.bench.decode(BenchReport.self, from: Data(result.output.utf8))
            let contest = try #require(report.contests.first)
            let subscribed = contest.entries.filter { $0.name.contains("subscriber") && !$0.figures.isEmpty }
            #expect(subscribed.count == BenchPlan.quick(growthEvents: 0).subscribers.count)
            for (entry, count) in zip(subscribed, BenchPlan.quick(growthEvents: 0).subscribers) {
                let appended = try #require(entry.figures["events appended"])
                #expect(appended > 0)
                #expect(entry.figures["events delivered to all"] == appended * Double(count))
                #expect(try #require(entry.figures["pages read by all"]) > 0)
            }
        }
    }

    @Test("a grown log is read and appended to beside a small one")
    func growth() async throws {
        try await CommandTest.with { test in
            let arguments = ["--quick", "--only", "growth", "--growth-events", "60000", "--json", "-"]
            let result = try await test.command.run(["bench"] + arguments)
            #expect(result.status == 0, "\(result.error)")
            let report = try JSONDecoder.bench.decode(BenchReport.self, from: Data(result.output.utf8))
            #expect(report.contests.map(\.entries.count) == [3, 3, 3, 3, 3])
            #expect(report.contests.allSatisfy { $0.entries.allSatisfy { $0.rate > 0 } })
            #expect(try await test.number(BenchTests.databases) == 0)
        }
    }

    @Test("with no address a PostgreSQL of its own is measured, and its folder is gone afterwards")
    func ownServer() async throws {
        try await Scratch.with { folder in
            let place = folder.path + "/place"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let svg = folder.path + "/latency.svg"
            let words =
                [
                    Command.program, "bench", "--quick", "--only", "callers, append", "--folder", place, "--svg", svg,
                ]
                .map(\.shellQuoted)
            let script =
                "unset DATABASE_URL PGHOST PGHOSTADDR PGPORT PGDATABASE PGSERVICE; \(words.joined(separator: " "))"
            let result = try await Running("/bin/sh", ["-c", script], nil, folder).result()
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.contains("of its own"))
            #expect(result.output.contains("fsync on, synchronous_commit on, full_page_writes on"))
            #expect(result.output.contains("Millrace append, 64 callers"))
            #expect(result.output.contains("events that were acknowledged are in the log"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
            let picture = try String(contentsOfFile: svg, encoding: .utf8)
            #expect(picture.hasPrefix("<svg"))
            #expect(picture.contains("Millrace append, 1 caller"))
        }
    }

    @Test("Ctrl-C ends it, its pgbench too, and leaves no database", arguments: ["callers", "publish"])
    func interrupted(scenario: String) async throws {
        try await CommandTest.with { test in
            let running = try await test.command.start(["bench", "--only", scenario, "--seconds", "600"])
            let busy =
                "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'millrace\\_bench\\_%' AND application_name = 'pgbench'"
            let own =
                "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'millrace\\_bench\\_%' AND query LIKE '%FROM millrace.append_event%'"
            try await eventually("it measures") {
                let appends = try await test.number(own)
                return try await test.number(busy) + appends > 0
            }
            running.interrupt()
            let result = try await running.result()
            #expect(result.status == ExitStatus.interrupted.rawValue, "\(result.error)")
            #expect(try await test.number(BenchTests.databases) == 0)
            #expect(try await test.number(busy) == 0)
        }
    }

    @Test("a role that may not create databases is told so, and what to do")
    func refused() async throws {
        try await CommandTest.with { test in
            let role = "bench_\(UUID().uuidString.lowercased().prefix(8))"
            try await test.client.script("CREATE ROLE \(role) LOGIN PASSWORD 'benched'")
            let words =
                [Command.program, "bench", "--quick", "--database-url"]
                + ["\(test.command.database) user=\(role) password=benched passfile=/dev/null"]
            let result = try await Running(Command.program, Array(words.dropFirst()), nil, test.folder).result()
            try await test.client.script("DROP ROLE \(role)")
            #expect(result.status == ExitStatus.failed.rawValue)
            #expect(result.error.contains("may not create databases"), "\(result.error)")
            #expect(result.error.contains("CREATEDB"))
            #expect(try await test.number(BenchTests.databases) == 0)
        }
    }

    @Test("an unknown scenario is refused with the known ones", arguments: ["nothing", "append,nothing", ""])
    func unknown(only: String) async throws {
        try await Scratch.with { folder in
            let result = try await Running(Command.program, ["bench", "--only", only], nil, folder).result()
            #expect(result.status == ExitStatus.usage.rawValue)
            #expect(result.error.contains(only.isEmpty ? "at least one" : "hot, growth"), "\(result.error)")
        }
    }
}

extension JSONDecoder {
    fileprivate static var bench: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }
}
