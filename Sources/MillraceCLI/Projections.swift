import ArgumentParser
import Millrace

struct Projections: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read models: which generation serves, what is being built beside it, and how far.",
        discussion: """
            A projection is built in generations. One serves, under the projection's own table names; another is built beside it, and \
            takes its place in one transaction when both are equal; the one before is kept, and can be gone back to. What to do when: \
            docs/operating-projections.md.

            Examples:
              millrace projections --watch
              millrace projections rebuild orders
              millrace projections rollback orders
              millrace projections verify orders --sample 10
            """,
        subcommands: [
            ProjectionsList.self, ProjectionsRebuild.self, ProjectionsSwap.self, ProjectionsRollback.self,
            ProjectionsVerify.self, ProjectionsDrop.self,
        ],
        defaultSubcommand: ProjectionsList.self
    )
}

/// How long a command waits while nobody runs a projection.
struct ProjectionPatienceOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long nobody may run it, or its last streams may wait for an event that failed, before this gives up.",
            valueName: "seconds"
        )
    )
    var patience = 30

    func validate() throws {
        if !(1...86_400).contains(patience) { throw ValidationError("--patience is from 1 to 86,400 seconds.") }
    }

    var duration: Duration { .seconds(patience) }
}
