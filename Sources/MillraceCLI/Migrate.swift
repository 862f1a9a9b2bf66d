import ArgumentParser
import Millrace

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create the schema millrace, or bring it up to this version.",
        discussion: "Forward only, in transactions, harmless to repeat and to run from several processes at once."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    func run() async throws {
        try await database.withClient(migrated: false) { [dryRun, output] client in
            let migrator = Migrator(client: client)
            if dryRun {
                Migrate.report(try await migrator.plan(), as: output)
            } else {
                Migrate.report(try await migrator.migrate(), as: output)
            }
        }
    }

    private static func report(_ plan: MigrationPlan, as output: OutputOptions) {
        if output.json {
            var line = JSONLine()
            line.add("migrations", strings: plan.migrations)
            line.add("recreates_functions", bool: plan.recreatesFunctions)
            Terminal.output.write(line.line)
        } else if plan.isEmpty {
            Terminal.output.write("The schema is up to date.\n")
        } else {
            for name in plan.migrations { Terminal.output.write("Would run \(name).\n") }
            if plan.recreatesFunctions { Terminal.output.write("Would re-create the functions.\n") }
        }
    }

    private static func report(_ report: MigrationReport, as output: OutputOptions) {
        let created = report.partitions.filter { $0.outcome == "created" }.map(\.name)
        if output.json {
            var line = JSONLine()
            line.add("migrations", strings: report.migrations)
            line.add("recreated_functions", bool: report.recreatedFunctions)
            line.add("created_partitions", strings: created)
            Terminal.output.write(line.line)
            return
        }
        for name in report.migrations { Terminal.output.write("Ran \(name).\n") }
        if report.recreatedFunctions { Terminal.output.write("Re-created the functions.\n") }
        for name in created { Terminal.output.write("Made the partition \(name).\n") }
        Terminal.output.write("The schema is up to date.\n")
    }
}
