import ArgumentParser
import Millrace

struct ParkedRetry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Have events handled again at once, as if for the first time, and what waits behind them then.",
        discussion: """
            What was discarded and not passed over yet is taken back only with --status discarding. With --json a document a \
            stream, as it is then.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ParkedOptions
    @OptionGroup var change: ParkedChangeOptions

    func validate() throws { try change.validate(options) }

    func run() async throws {
        try await ParkedChange(database: database, output: output, options: options, change: change).run(
            outcome: "retried at once"
        ) { handlers, dryRun, session in
            try await handlers.retryParked(options.filter, dryRun: dryRun, limit: change.limit, in: session)
        }
    }
}
