/// A report as people read it.
struct BenchTable {
    let report: BenchReport
    let terminal: Terminal

    /// Rows of settings, most telling first.
    private static let settings = [
        "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size",
    ]

    private static let durable = ["fsync", "synchronous_commit", "full_page_writes"]

    var text: String {
        var text = head + terminal.styled(warning, .bold, .yellow)
        for scenario in BenchScenario.allCases {
            let contests = report.contests.filter { $0.scenario == scenario.rawValue }
            if contests.isEmpty { continue }
            text += "\n" + terminal.styled(scenario.title, .bold, .cyan) + "\n"
            for contest in contests { text += "\n" + section(contest) }
        }
        return text + "\n" + foot
    }

    private var head: String {
        let machine = report.machine
        let settings = BenchTable.settings.compactMap { name in report.server.settings[name].map { "\(name) \($0)" } }
        let owner = report.server.isOwn ? "of its own" : "yours, databases of the run's own"
        let model = machine.processorModel.map { ", \($0)" } ?? ""
        return """
            PostgreSQL \(report.server.version) (\(owner)): \(settings.joined(separator: ", "))
            \(machine.system) \(machine.architecture), \(machine.processors) processors\(model), \
            \(machine.memoryBytes.bytes) of memory
            \(report.run.rounds) rounds of \(report.run.secondsATurn.fixed(2)) s, in turns; single rows inserted by \
            \(report.run.rowInserter)

            """
    }

    /// Figures of commits that can be lost are no figures of a store.
    private var warning: String {
        let off = BenchTable.durable.filter { ["off", "local"].contains(report.server.settings[$0]) }
        return off.isEmpty ? "" : "Nothing here is durable as it should be: \(off.joined(separator: ", ")) is not on.\n"
    }

    private func section(_ contest: ContestResult) -> String {
        let compared = contest.measure == .rate ? "× rate" : "× p50"
        var table = Table([
            (contest.title, .left), ("events/s", .right), (compared, .right), ("range", .left), ("p50", .right),
            ("p99", .right), ("p99.9", .right),
        ])
        for entry in contest.entries {
            table.add([
                "  " + entry.name, entry.rate > 0 ? Int(entry.rate.rounded()).grouped : "–",
                entry.ratio.map { $0.median.fixed(2) } ?? "", entry.ratio.map(range) ?? "",
                entry.latency.map { brief($0.p50) } ?? "–", entry.latency.map { brief($0.p99) } ?? "–",
                entry.latency.map { brief($0.p999) } ?? "–",
            ])
        }
        var text = table.rendered(for: terminal)
        for entry in contest.entries where !entry.figures.isEmpty {
            let figures = entry.figures.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.grouped)" }
            text += terminal.styled("  \(entry.name): \(figures.joined(separator: ", "))", .dim) + "\n"
        }
        return text
    }

    private func range(_ ratio: ContestResult.Ratio) -> String {
        "\(ratio.lowest.fixed(2))–\(ratio.highest.fixed(2))"
    }

    private func brief(_ microseconds: Double) -> String { Duration.nanoseconds(Int64(microseconds * 1000)).brief }

    private var foot: String {
        let most = report.counts.max { $0.peakMemoryBytes < $1.peakMemoryBytes }
        let memory =
            most.map { "At most \($0.peakMemoryBytes.bytes) of memory in this process (\($0.scenario)).\n" } ?? ""
        let stored = report.counts.reduce(0) { $0 + $1.stored }
        let agreement =
            report.counts.allSatisfy(\.holds)
            ? "All \(stored.grouped) events that were acknowledged are in the log."
            : "THE TABLES DO NOT AGREE: see below."
        return """
            × compares with the first line of its block: the median of the rounds' ratios, and their range. Plain statements write into
            a twin of Millrace's log, with the same columns, months and indexes. \(agreement)
            \(memory)
            """
    }
}

extension Double {
    /// 1,234,567 or 12.3.
    fileprivate var grouped: String { magnitude < 100 && self != rounded() ? fixed(1) : Int(rounded()).grouped }
}
