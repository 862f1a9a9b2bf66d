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
                try Migrate.report(await migrator.plan(), as: output)
            } else {
                try Migrate.report(await migrator.migrate(), as: output)
            }
        }
    }

    private static func report(_ plan: MigrationPlan, as output: OutputOptions) throws {
        if output.json {
            var line = JSONLine()
            line.add("migrations", strings: plan.migrations)
            line.add("recreates_functions", bool: plan.recreatesFunctions)
            try Terminal.output.write(line.line)
        } else if plan.isEmpty {
            try Terminal.output.write("The schema is up to date.\n")
        } else {
            for name in plan.migrations { try Terminal.output.write("Would run \(name).\n") }
            if plan.recreatesFunctions { try Terminal.output.write("Would re-create the functions.\n") }
        }
    }

    private static func report(_ report: MigrationReport, as output: OutputOptions) throws {
        let created = report.partitions(thatAre: "created")
        let busy = report.partitions(thatAre: "busy")
        let inDefault = report.partitions(thatAre: "in_default")
        for name in busy {
            Terminal.error.say(
                "\(name) was not made, a transaction holds the default partition: run the command again.\n"
            )
        }
        for name in inDefault {
            Terminal.error.say(
                "\(name) was not made, the default partition holds events of that month: see `millrace doctor`.\n"
            )
        }
        if output.json {
            var line = JSONLine()
            line.add("migrations", strings: report.migrations)
            line.add("recreated_functions", bool: report.recreatedFunctions)
            line.add("created_partitions", strings: created)
            line.add("busy_partitions", strings: busy)
            line.add("partitions_in_default", strings: inDefault)
            try Terminal.output.write(line.line)
            return
        }
        for name in report.migrations { try Terminal.output.write("Ran \(name).\n") }
        if report.recreatedFunctions { try Terminal.output.write("Re-created the functions.\n") }
        for name in created { try Terminal.output.write("Made the partition \(name).\n") }
        try Terminal.output.write("The schema is up to date.\n")
    }
}

extension MigrationReport {
    fileprivate func partitions(thatAre outcome: String) -> [String] {
        partitions.filter { $0.outcome == outcome }.map(\.name)
    }
}
