import ArgumentParser
import Millrace
import MillracePostgres

/// One run: a new database for each scenario, and its tables counted at the end.
struct BenchRun: Sendable {
    private static let counting = PostgresStatement.embedded(PackageResources.bench_counting_sql)
    private static let counts = PostgresStatement.embedded(PackageResources.bench_counts_sql)

    let plan: BenchPlan
    let isQuick: Bool
    let scenarios: [BenchScenario]
    let server: BenchServer

    func report() async throws -> BenchReport {
        let began = ContinuousClock.now
        let display = BenchDisplay()
        defer { display.clear() }
        let pgbench = Pgbench(programs: server.programs)
        var contests: [ContestResult] = []
        var counts: [BenchReport.Count] = []
        for (index, scenario) in scenarios.enumerated() {
            display.begin(scenario, number: index + 1, of: scenarios.count)
            PeakMemory.reset()
            let (results, count) = try await server.withDatabase(scenario.rawValue) { address in
                try await run(scenario, at: address, pgbench, display)
            }
            contests += results
            counts.append(count)
        }
        return BenchReport(
            form: BenchReport.form,
            millrace: Millrace.configuration.version,
            server: .init(version: server.version, isOwn: server.isEmbedded, settings: server.settings),
            machine: .read(),
            run: .init(
                rounds: plan.rounds,
                secondsATurn: plan.turn.seconds,
                isQuick: isQuick,
                seed: BenchPlan.seed,
                rowInserter: pgbench == nil ? "our own client, for want of pgbench" : "pgbench",
                seconds: (ContinuousClock.now - began).seconds
            ),
            contests: contests,
            counts: counts
        )
    }

    private func run(
        _ scenario: BenchScenario,
        at address: String,
        _ pgbench: Pgbench?,
        _ display: BenchDisplay
    ) async throws -> ([ContestResult], BenchReport.Count) {
        try await DatabaseOptions.withClient(address, connections: 1) { client in
            let stage = BenchStage(
                plan: plan,
                server: server,
                pgbench: pgbench,
                display: display,
                address: address,
                countsCalls: try await client.query(BenchRun.counting).single().decode(Bool.self, at: 0)
            )
            let results = try await scenario.run(on: stage)
            let row = try await client.query(BenchRun.counts).single()
            let (log, twin) = try row.decode(Int.self, Int.self)
            let count = BenchReport.Count(
                scenario: scenario.rawValue,
                appended: stage.tally.appended,
                stored: log,
                inserted: stage.tally.inserted,
                inTwin: twin,
                peakMemoryBytes: PeakMemory.bytes
            )
            return (results, count)
        }
    }
}
