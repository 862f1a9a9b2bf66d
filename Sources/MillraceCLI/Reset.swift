import ArgumentParser
import Millrace

struct Reset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a handler to another position: back, to handle events again, or forward, to leave them out.",
        discussion: """
            All its lanes move. What lies behind the position is handled again, effects included, except where the handler \
            recognises a repetition; what lies before it is not handled any more. Streams that are set aside stay so where their \
            event lies before it, and come again with the others where it lies behind. Work that is under way is undone. What it \
            was before is kept: `millrace handlers show`.

            A person is asked before anything happens; a script says --yes.

            Examples:
              millrace reset billing --to 2026-01-31T12:00:00Z --dry-run
              millrace reset billing --to end
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The handler's name.")
    var name: String

    @Option(
        help: ArgumentHelp(
            "start, end, the position after which it goes on, or the time (RFC 3339, or a date) from which stored events are handled.",
            valueName: "where"
        )
    )
    var to: HandlerResetTarget

    @Flag(name: .customLong("dry-run"), help: "Say what would happen; change nothing.")
    var dryRun = false

    @Flag(help: "Do it without being asked.")
    var yes = false

    func run() async throws {
        let reset = try await database.withStore { [self] store in
            let plan = try await store.handlers.reset(name, to: to, dryRun: true)
            if dryRun { return plan }
            try await Confirmation(isGiven: yes).obtain(for: text(plan, isDone: false))
            // To the position that was shown, whatever was stored since.
            return try await store.handlers.reset(name, to: .after(plan.to))
        }
        try Terminal.output.write(output.json ? json(reset) : text(reset, isDone: !dryRun) + "\n")
    }

    private func text(_ reset: HandlerReset, isDone: Bool) -> String {
        let lanes = "\(reset.lanesMoved.grouped) \(reset.lanesMoved == 1 ? "lane" : "lanes") of \(name.printable)"
        var text =
            "\(lanes) \(isDone ? "moved" : "would move") to position \(reset.to.rawValue.grouped), the slowest from "
            + "\(reset.from.rawValue.grouped): \(reset.again.text) events are handled again, \(reset.leftOut.text) are left out."
        if reset.parkedDropped > 0 {
            text += " \(reset.parkedDropped.grouped) of the streams that are set aside begin anew with the others."
        }
        return text
    }

    private func json(_ reset: HandlerReset) -> String {
        var object = JSONLine()
        object.add("handler", string: name)
        object.add("dry_run", bool: dryRun)
        object.add("lanes_moved", number: Int64(reset.lanesMoved))
        object.add("from", number: reset.from.rawValue)
        object.add("to", number: reset.to.rawValue)
        object.add("events_again", number: reset.again.events)
        object.add("events_left_out", number: reset.leftOut.events)
        object.add("events_are_exact", bool: reset.again.isExact)
        object.add("parked_dropped", number: reset.parkedDropped)
        return object.line
    }
}
