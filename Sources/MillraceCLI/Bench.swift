import ArgumentParser
import Foundation
import Millrace
import MillracePostgres

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure what your PostgreSQL can do, without Millrace and with it, side by side.",
        discussion: """
            In one run, on one server, with the same data: plain PostgreSQL (COPY, INSERT from arrays, single rows through pgbench) \
            and Millrace, in turns, round by round. What counts are the ratios: × is the median of the rounds'.

            Without an address a PostgreSQL is started in a new folder and removed afterwards, as durable as a real one: put the folder \
            on the disk you mean with --folder. With --database-url, DATABASE_URL or the PG* variables that server is measured, in \
            databases of the run's own (\(BenchServer.databasePrefix)…), which are dropped afterwards; nothing else of it is touched, but it is \
            kept busy.

            Scenarios: \(BenchScenario.allCases.map(\.rawValue).joined(separator: ", ")).
            """
    )

    @Option(
        name: .customLong("database-url"),
        help: ArgumentHelp("A libpq connection string, a URI or keywords.", valueName: "url")
    )
    var url: String?

    @Option(
        help: ArgumentHelp(
            "Where the new PostgreSQL's folder is made; otherwise the temporary folder.",
            valueName: "folder"
        )
    )
    var folder: String?

    @Option(help: ArgumentHelp("Only these scenarios, separated by commas.", valueName: "names"))
    var only: String?

    @Option(help: "Seconds that one turn of one contestant takes; the end-to-end load lasts three times as long.")
    var seconds = 2

    @Option(help: "Rounds in which all take their turns.")
    var rounds = 3

    @Flag(help: "Some twenty seconds in all: whether everything works, not how fast.")
    var quick = false

    @Flag(help: "Also compare small and grown logs, which takes minutes and some 15 GB.")
    var growth = false

    @Option(help: "Events of a grown log.")
    var growthEvents = 10_000_000

    @Option(
        help: ArgumentHelp("Write everything as JSON; - is standard output, in place of the table.", valueName: "file")
    )
    var json: String?

    @Option(help: ArgumentHelp("Draw the distribution of the latencies.", valueName: "file"))
    var svg: String?

    func validate() throws {
        guard BenchPlan.secondLimits.contains(seconds), BenchPlan.roundLimits.contains(rounds) else {
            throw ValidationError(
                "--seconds is from \(BenchPlan.secondLimits.lowerBound) to \(BenchPlan.secondLimits.upperBound), --rounds from "
                    + "\(BenchPlan.roundLimits.lowerBound) to \(BenchPlan.roundLimits.upperBound)."
            )
        }
        guard BenchPlan.growthLimits.contains(growthEvents) else {
            throw ValidationError(
                "--growth-events is from \(BenchPlan.growthLimits.lowerBound.grouped) to "
                    + "\(BenchPlan.growthLimits.upperBound.grouped)."
            )
        }
        if svg == "-", json == "-" { throw ValidationError("--json and --svg cannot both go to standard output.") }
        _ = try scenarios()
        try databaseOptions().validate()
    }

    /// In the order of a run, each once.
    func scenarios() throws -> [BenchScenario] {
        var chosen = Set(BenchScenario.usual)
        if let only {
            let names = only.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            chosen = []
            for name in names {
                guard let scenario = BenchScenario(rawValue: name) else {
                    let known = BenchScenario.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ValidationError("--only knows no “\(name.printable)”: there are \(known).")
                }
                chosen.insert(scenario)
            }
            if chosen.isEmpty { throw ValidationError("--only names at least one scenario.") }
        }
        if growth { chosen.insert(.growth) }
        return BenchScenario.allCases.filter(chosen.contains)
    }

    private func databaseOptions() -> DatabaseOptions {
        var options = DatabaseOptions()
        options.url = url
        options.dataDirectory = ""
        return options
    }

    func run() async throws {
        let plan =
            quick
            ? BenchPlan.quick(growthEvents: growthEvents)
            : BenchPlan.full(seconds: seconds, rounds: rounds, growthEvents: growthEvents)
        let scenarios = try scenarios()
        let choice = databaseOptions().choice
        let report = try await Interruption.watching { [folder, quick] in
            do {
                return try await BenchServer.with(choice, parentFolder: folder) { server in
                    try await BenchRun(plan: plan, isQuick: quick, scenarios: scenarios, server: server).report()
                }
            } catch  where Task.isCancelled {
                // Whatever call the interruption met, and whatever became of its events, which are gone.
                throw CancellationError()
            }
        }
        try write(report)
        guard report.counts.allSatisfy(\.holds) else {
            let wrong = report.counts.filter { !$0.holds }.map { count in
                "\(count.scenario): \(count.stored.grouped) of \(count.appended.grouped) in the log, "
                    + "\(count.inTwin.grouped) of \(count.inserted.grouped) in the twin"
            }
            throw Failure(.failed, "the tables do not hold what was acknowledged: \(wrong.joined(separator: "; "))")
        }
    }

    private func write(_ report: BenchReport) throws {
        if let json { try write(try report.jsonLine(), to: json) }
        if let svg { try write(LatencyPicture(report).svg, to: svg) }
        if json != "-", svg != "-" { try Terminal.output.write(BenchTable(report: report, terminal: .output).text) }
    }

    private func write(_ text: String, to file: String) throws {
        if file == "-" { return try Terminal.output.write(text) }
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        } catch {
            throw Failure(.failed, "\(file.printable) cannot be written: \(error.localizedDescription)")
        }
    }
}
