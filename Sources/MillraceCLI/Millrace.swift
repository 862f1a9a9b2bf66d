import ArgumentParser

@main
struct Millrace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "millrace",
        abstract: "An event store and event-driven runtime on PostgreSQL 18.",
        discussion: """
            Which PostgreSQL: --database-url, else DATABASE_URL, else the PG* variables, else one of its own that is \
            kept in --data-dir (default .millrace) and started when it is needed. `up` and `demo` go \
            by their options only.

            Exit codes: \(ExitStatus.allCases.map { "\($0.rawValue) \($0.meaning)" }.joined(separator: "; ")).
            """,
        version: "0.1.0",
        groupedSubcommands: [
            CommandGroup(name: "RUN", subcommands: [Up.self, Demo.self, Work.self, Migrate.self]),
            CommandGroup(
                name: "EVENTS",
                subcommands: [Publish.self, Import.self, Read.self, Tail.self, Rebuild.self, History.self]
            ),
            CommandGroup(
                name: "HANDLERS",
                subcommands: [Handlers.self, Parked.self, Pause.self, Resume.self, Reset.self, Replay.self]
            ),
            CommandGroup(name: "PROJECTIONS", subcommands: [Projections.self]),
            CommandGroup(name: "LEDGER", subcommands: [Ledger.self]),
            CommandGroup(name: "LOOK", subcommands: [Stats.self, CheckEvents.self, Doctor.self, Bench.self]),
        ]
    )

    static func main() async {
        Terminal.occupyClosedDescriptors()
        do {
            try refuseRepairedArguments()
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            ExitStatus.done.endProcess()
        } catch {
            guard let failure = Failure(error) else { exit(withError: error) }
            failure.report()
        }
    }

    /// Swift repairs arguments that are not UTF-8, and an event would be stored that nobody wrote.
    private static func refuseRepairedArguments() throws {
        for number in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[number] else { continue }
            if String(validatingCString: argument) == nil {
                throw Failure(.usage, "argument \(number) is not UTF-8: check the encoding of your terminal or script")
            }
        }
    }
}
