import ArgumentParser
import Millrace

struct ParkedDiscard: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract:
            "Have events passed over by a handler, for a reason that is kept, and what waits behind them handled.",
        discussion: """
            The events stay in the log; other handlers are not concerned. A person is shown what is meant and asked; a script \
            says --yes. Until a worker has passed an event over, `millrace parked retry --status discarding` takes it back.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ParkedOptions
    @OptionGroup var change: ParkedChangeOptions

    @Option(help: "Why they need no handling: what remains of them for this handler.")
    var reason: String

    @Flag(help: "Do it without being asked.")
    var yes = false

    func validate() throws {
        try change.validate(options)
        if !(1...2_000).contains(reason.count) { throw ValidationError("--reason has 1 to 2,000 characters.") }
        if options.status == .discarding { throw ValidationError("--status discarding is being discarded already.") }
    }

    func run() async throws {
        try await ParkedChange(database: database, output: output, options: options, change: change).run(
            outcome: "passed over",
            confirmation: Confirmation(isGiven: yes)
        ) { handlers, dryRun, session in
            try await handlers.discardParked(
                options.filter,
                reason: reason,
                dryRun: dryRun,
                limit: change.limit,
                in: session
            )
        }
    }
}
