import ArgumentParser
import Millrace

struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End a handler's work everywhere, until `millrace resume`.",
        discussion: """
            Its workers finish the transactions that are under way, and begin no other. Its events stay pending; nothing is lost.

            Example: millrace pause billing --reason "the bank is down"
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The handler's name.")
    var name: String

    @Option(help: "Why; shown wherever the handler is.")
    var reason: String?

    func run() async throws {
        let state = try await database.withStore { [name, reason] store in
            try await store.handlers.pause(name, reason: reason)
        }
        let outcome = HandlerStateChange(name: name, before: state, after: state == .stopped ? .stopped : .paused)
        let text =
            switch state {
            case .active:
                "\(name.printable) is paused: no transaction is begun any more. `millrace resume` lets it go on.\n"
            case .paused: "\(name.printable) was paused already, and stays so for the reason that was given then.\n"
            case .stopped: "\(name.printable) has stopped by itself already: `millrace handlers show` says why.\n"
            }
        try Terminal.output.write(output.json ? outcome.json : text)
    }
}

/// What became of a handler's state.
struct HandlerStateChange {
    let name: String
    let before: HandlerState
    let after: HandlerState

    var json: String {
        var object = JSONLine()
        object.add("handler", string: name)
        object.add("state_before", string: before.rawValue)
        object.add("state", string: after.rawValue)
        return object.line
    }
}
