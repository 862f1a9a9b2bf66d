import ArgumentParser
import Millrace

struct ParkedEdit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Give a handler other data than the event's, the next time that it handles it.",
        discussion: """
            The event itself never changes, and no other handler sees the edit. Who edited what is kept. Nothing is retried by it \
            unless --retry says so.

            Examples:
              millrace parked edit --event 0190… --data '{"currency":"EUR"}' --merge --dry-run
              jq -c .order mended.json | millrace parked edit --event 0190… --data - --retry
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ParkedOptions
    @OptionGroup var change: ParkedChangeOptions

    @Option(help: ArgumentHelp("The data as JSON; - reads it from standard input.", valueName: "json"))
    var data: String?

    @Flag(help: "Lay the keys of --data, an object, over the data that the handler would get now.")
    var merge = false

    @Flag(help: "Take edits back: the handler gets the event's own data.")
    var undo = false

    @Flag(help: "Have them handled again at once.")
    var retry = false

    func validate() throws {
        try change.validate(options)
        if (data == nil) != undo { throw ValidationError("Give --data, or --undo to take an edit back.") }
        if merge && undo { throw ValidationError("--merge goes with --data.") }
        if options.status == .discarding {
            throw ValidationError("What is being discarded is not handled: retry it first.")
        }
    }

    func run() async throws {
        let document: JSON? =
            self.data == "-" ? JSON(utf8: try await StandardInput.document()) : self.data.map { JSON($0) }
        let data = undo ? "the event's own data" : "the data that was given"
        try await ParkedChange(database: database, output: output, options: options, change: change).run(
            outcome: retry ? "handled with \(data), at once" : "given \(data) when they are retried"
        ) { handlers, dryRun, session in
            try await handlers.editParked(
                options.filter,
                data: document,
                merging: merge,
                retrying: retry,
                dryRun: dryRun,
                limit: change.limit,
                in: session
            )
        }
    }
}
