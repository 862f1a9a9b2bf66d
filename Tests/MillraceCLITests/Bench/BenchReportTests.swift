import Foundation
import Testing

@testable import MillraceCLI

@Suite("The report of a bench")
struct BenchReportTests {
    private func report(settings: [String: String] = ["fsync": "on"]) throws -> BenchReport {
        let latencies = try #require(Latencies(nanoseconds: (1...1000).map { $0 * 1000 }).summary)
        let round = ContestResult.Round(events: 100, seconds: 2, rate: 50, medianMicroseconds: nil)
        func entry(_ name: String, _ kind: Contest.Kind, _ rate: Double, _ ratio: ContestResult.Ratio?)
            -> ContestResult.Entry
        {
            ContestResult.Entry(
                name: name,
                kind: kind,
                rate: rate,
                ratio: ratio,
                latency: latencies,
                figures: kind == .millrace ? ["calls": 1234] : [:],
                rounds: [round]
            )
        }
        return BenchReport(
            form: BenchReport.form,
            millrace: "1.2.3",
            server: .init(version: "18.6", isOwn: true, settings: settings),
            machine: MachineFacts(
                system: "Linux 6",
                architecture: "x86_64",
                processors: 2,
                processorModel: nil,
                memoryBytes: 1 << 30
            ),
            run: .init(rounds: 3, secondsATurn: 2, isQuick: false, seed: 1, rowInserter: "pgbench", seconds: 60),
            contests: [
                ContestResult(
                    scenario: "callers",
                    title: "64 at once",
                    measure: .rate,
                    entries: [
                        entry("INSERT", .bare, 10_000, nil),
                        entry("Millrace", .millrace, 37_000, .init(median: 3.7, lowest: 3.5, highest: 4)),
                    ]
                )
            ],
            counts: [
                .init(
                    scenario: "callers",
                    appended: 5,
                    stored: 5,
                    inserted: 6,
                    inTwin: 6,
                    peakMemoryBytes: 50 << 20
                )
            ]
        )
    }

    @Test("as a table")
    func table() throws {
        let text = BenchTable(report: try report(), terminal: .output).text.replacing(#/\u{1B}\[[0-9;]*m/#, with: "")
        #expect(
            text == """
                PostgreSQL 18.6 (of its own): fsync on
                Linux 6 x86_64, 2 processors, 1 GiB of memory
                3 rounds of 2.00 s, in turns; single rows inserted by pgbench

                Single events, each acknowledged

                64 at once  events/s  × rate  range          p50      p99    p99.9
                  INSERT      10,000                     0.50 ms  0.99 ms  1.00 ms
                  Millrace    37,000    3.70  3.50–4.00  0.50 ms  0.99 ms  1.00 ms
                  Millrace: calls 1,234

                × compares with the first line of its block: the median of the rounds' ratios, and their range. Plain statements write into
                a twin of Millrace's log, with the same columns, months and indexes. All 5 events that were acknowledged are in the log.
                At most 50 MiB of memory in this process (callers).

                """
        )
    }

    @Test("warns where commits can be lost")
    func warning() throws {
        let text = BenchTable(
            report: try report(settings: ["fsync": "off", "full_page_writes": "on"]),
            terminal: .output
        ).text
        #expect(text.contains("fsync is not on"))
        #expect(!BenchTable(report: try report(), terminal: .output).text.contains("is not on"))
    }

    @Test("as JSON and back")
    func json() throws {
        let report = try report()
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let line = try report.jsonLine()
        #expect(line.split(separator: "\n").count == 1)
        let again = try decoder.decode(BenchReport.self, from: Data(line.utf8))
        #expect(again.counts == report.counts)
        #expect(again.contests[0].entries[1].ratio == report.contests[0].entries[1].ratio)
        #expect(again.contests[0].entries[0].latency == report.contests[0].entries[0].latency)
    }

    @Test("as a picture: escaped, a line a series, and no more series than can be told apart")
    func picture() throws {
        let report = try report()
        let svg = LatencyPicture(report).svg
        #expect(svg.contains("dashed: PostgreSQL without Millrace"))
        #expect(svg.components(separatedBy: "<polyline").count == 3)
        let many = LatencyPicture(
            title: "a < b & \"c\"",
            subtitle: "",
            series: [.init(name: "<one>", isBare: true, curve: [.init(percentile: 0, microseconds: 10)])]
        ).svg
        #expect(many.contains("a &lt; b &amp; &quot;c&quot;"))
        #expect(many.contains("&lt;one&gt;"))
        #expect(!many.contains("<one>"))
    }

    @Test("a curve lies where its percentiles and times are")
    func golden() {
        let picture = LatencyPicture(
            title: "t",
            subtitle: "s",
            series: [
                .init(
                    name: "one",
                    isBare: false,
                    curve: [
                        .init(percentile: 0, microseconds: 100), .init(percentile: 90, microseconds: 1000),
                        .init(percentile: 99, microseconds: 10_000), .init(percentile: 100, microseconds: 100_000),
                    ]
                )
            ]
        )
        let lines = picture.svg.split(separator: "\n")
        #expect(
            lines.first { $0.hasPrefix("<polyline") } == """
                <polyline fill="none" stroke="#0072b2" stroke-width="2.2" stroke-linejoin="round" \
                points="84.0,478.0 452.7,344.0 821.4,210.0 932.0,76.0"/>
                """
        )
        #expect(lines.contains { $0.contains(">100 µs</text>") })
        #expect(lines.contains { $0.contains(">100 ms</text>") })
        #expect(lines.contains { $0.contains(">99 %</text>") })
        #expect(lines.last == "</svg>")
    }
}
