import ArgumentParser
import Millrace
import MillracePostgres

struct Work: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run SQL handlers and whatever else must run by itself, until Ctrl-C.",
        discussion: """
            The functions registered with millrace.register_sql_handler, in lanes that all running daemons share; the counts behind \
            event_processing_stats; the partitions of the months ahead, and closing those that are over; with --ledger-key the sealing \
            of the ledger. Run as many as you like, on as many machines: one that is killed loses nothing, and its lanes move to the others within seconds. Functions run as the \
            role that it connects as. `millrace up` includes it.

            The first Ctrl-C or SIGTERM finishes what is under way and gives the lanes back; the second ends it on the spot.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @OptionGroup(title: "Ledger") var ledger: LedgerDutyOptions

    @Option(
        help: ArgumentHelp(
            "What operators see it as; otherwise the host's name and the process's id.",
            valueName: "name"
        )
    )
    var name: String?

    @Option(
        help: ArgumentHelp(
            "How long its lanes stay with it when it says nothing any more.",
            valueName: "seconds"
        )
    )
    var lease = 3

    @Option(help: ArgumentHelp("Lanes that are worked on at the same time, each on a connection.", valueName: "number"))
    var lanesAtOnce = 4

    func validate() throws {
        if !(2...3_600).contains(lease) { throw ValidationError("--lease is from 2 to 3,600 seconds.") }
        if !(1...256).contains(lanesAtOnce) { throw ValidationError("--lanes-at-once is from 1 to 256.") }
    }

    func run() async throws {
        let options = WorkerOptions(name: name, lease: .seconds(lease), lanesAtOnce: lanesAtOnce)
        let duty = try ledger.duty()
        do {
            try await database.withClient(connections: lanesAtOnce + 6) { [output] client in
                let daemon = Daemon(client, options: options, ledger: duty, logger: DatabaseOptions.logger)
                // A worker is patient with a server that is away. One that was never there is a mistake, and told at once.
                _ = try await daemon.store.epoch()
                if output.json {
                    var line = JSONLine()
                    line.add("worker", string: options.name)
                    try Terminal.output.write(line.line)
                } else {
                    try Terminal.output.write("Working as \(options.name). Ctrl-C stops it.\n")
                }
                try await daemon.run()
            }
        } catch is CancellationError {
            // Ctrl-C is how it is meant to end.
        }
        if !output.json { Terminal.error.say("Everything under way is finished, and the lanes are given back.\n") }
    }
}
