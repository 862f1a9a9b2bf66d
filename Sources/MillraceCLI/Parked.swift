import ArgumentParser

struct Parked: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Events that could not be handled, and the streams that wait behind them.",
        discussion: """
            An event that fails is retried by itself after a while, and parked after its last attempt, or at once where the \
            handler says so. What follows it in its stream waits behind it, in order; all other streams go on. Mend what was \
            wrong and retry, edit what the handler gets, or discard the event, for a reason that is kept.

            Examples:
              millrace parked list --handler billing
              millrace parked retry --handler billing --error '%timeout%' --dry-run
              millrace parked edit --event 0190… --data '{"currency":"EUR"}' --merge --retry
              millrace parked discard --event 0190… --reason "a test order"
            """,
        subcommands: [ParkedList.self, ParkedShow.self, ParkedRetry.self, ParkedEdit.self, ParkedDiscard.self],
        defaultSubcommand: ParkedList.self
    )
}
