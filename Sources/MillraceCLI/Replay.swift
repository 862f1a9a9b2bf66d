import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have a range of the log handled once more, beside what a handler does anyway.",
        discussion: """
            Its checkpoints stay where they are. Both ends of the range are included; it reaches no further than the slowest lane \
            has come, and there is one replay of a handler at a time. A person is asked before anything happens; a script says --yes.

            Examples:
              millrace replay billing --from 120000 --through 125000 --dry-run
              millrace replay billing --list
              millrace replay billing --cancel 7
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The handler's name.")
    var name: String

    @Option(help: ArgumentHelp("The first position.", valueName: "position"))
    var from: Int64?

    @Option(help: ArgumentHelp("The last position; otherwise as far as the handler has come.", valueName: "position"))
    var through: Int64?

    @Flag(help: "Show the handler's replays.")
    var list = false

    @Option(help: ArgumentHelp("End this one where it is.", valueName: "replay"))
    var cancel: Int64?

    @Flag(name: .customLong("dry-run"), help: "Say what would be asked for; ask for nothing.")
    var dryRun = false

    @Flag(help: "Do it without being asked.")
    var yes = false

    func validate() throws {
        let wishes = (from == nil ? 0 : 1) + (list ? 1 : 0) + (cancel == nil ? 0 : 1)
        if wishes != 1 { throw ValidationError("Give one of --from, --list and --cancel.") }
        if through != nil && from == nil { throw ValidationError("--through goes with --from.") }
        if let from, from < 0 { throw ValidationError("--from is the position of an event, or 0.") }
        if let from, let through, through < from { throw ValidationError("--through does not lie before --from.") }
    }

    func run() async throws {
        if list {
            try await showReplays()
        } else if let cancel {
            try await end(cancel)
        } else if let from {
            try await request(from: Position(from))
        }
    }

    private func showReplays() async throws {
        let replays = try await database.withStore { [name] store in try await store.handlers.replays(of: name) }
        if output.json {
            try Terminal.output.write(replays.map(\.jsonLine.line).joined())
        } else {
            let text = ReplayTable(replays).text(for: .output)
            try Terminal.output.write(text.isEmpty ? "No replay of \(name.printable) was ever asked for.\n" : text)
        }
    }

    private func end(_ id: Int64) async throws {
        let state = try await database.withStore { [name] store in
            // A number that was mistyped may be another handler's.
            guard try await store.handlers.replays(of: name, limit: .max).contains(where: { $0.id == id }) else {
                throw Failure(
                    .failed,
                    "\(name.printable) has no replay \(id): `millrace replay \(name.printable) --list` shows them"
                )
            }
            return try await store.handlers.cancelReplay(id)
        }
        if output.json {
            var object = JSONLine()
            object.add("handler", string: name)
            object.add("replay_id", number: id)
            object.add("state_before", string: state.rawValue)
            try Terminal.output.write(object.line)
        } else {
            try Terminal.output.write(
                state == .open
                    ? "Replay \(id) is cancelled; what it has handled stays.\n"
                    : "Replay \(id) was \(state.rawValue) already.\n"
            )
        }
    }

    private func request(from first: Position) async throws {
        let last = through.map { Position($0) }
        let request = try await database.withStore { [self] store in
            let plan = try await store.handlers.replay(name, from: first, through: last, dryRun: true)
            if dryRun { return plan }
            try await Confirmation(isGiven: yes).obtain(for: text(plan))
            return try await store.handlers.replay(name, from: plan.first, through: plan.last)
        }
        try Terminal.output.write(output.json ? json(request) : text(request) + "\n")
    }

    private func text(_ request: HandlerReplayRequest) -> String {
        let range = "\(request.first.rawValue.grouped) to \(request.last.rawValue.grouped)"
        let events =
            "\(request.events.text) \(request.events.events == 1 && request.events.isExact ? "event" : "events")"
        guard let id = request.id else {
            return "\(name.printable) would handle \(events) once more, of the positions \(range)."
        }
        return "Replay \(id): \(name.printable) is asked to handle \(events) once more, of the positions \(range)."
    }

    private func json(_ request: HandlerReplayRequest) -> String {
        var object = JSONLine()
        object.add("handler", string: name)
        object.add("dry_run", bool: dryRun)
        object.add("replay_id", number: request.id)
        object.add("first", number: request.first.rawValue)
        object.add("last", number: request.last.rawValue)
        object.add("events", number: request.events.events)
        object.add("events_are_exact", bool: request.events.isExact)
        return object.line
    }
}
