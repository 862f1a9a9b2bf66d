import ArgumentParser
import Millrace

struct Handlers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who handles events, whether he works, and how far he has come.",
        discussion: """
            Answers in milliseconds, whatever the size of the log. What to do where something is wrong: \
            docs/operating-handlers.md.

            Examples:
              millrace handlers --watch
              millrace handlers show billing
            """,
        subcommands: [HandlersList.self, HandlersShow.self],
        defaultSubcommand: HandlersList.self
    )
}
