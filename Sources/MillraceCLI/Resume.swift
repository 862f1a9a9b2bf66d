import ArgumentParser
import Millrace

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a paused or stopped handler go on where it was.",
        discussion: "Its workers hear of it at once. One that stopped stops again where the cause is still there."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The handler's name.")
    var name: String

    func run() async throws {
        let (before, handler) = try await database.withStore { [name] store in
            (try await store.handlers.resume(name), try await store.handlers.status(of: name))
        }
        if output.json {
            try Terminal.output.write(HandlerStateChange(name: name, before: before, after: handler.state).json)
            return
        }
        var text =
            before == .active
            ? "\(name.printable) was active already.\n"
            : "\(name.printable) goes on: it was \(before.rawValue), and has \(handler.pending.text) events before it.\n"
        if handler.workers == 0 && !handler.isSQL {
            text += Terminal.output.styled(
                "No process works for it at the moment: start one that has this handler.\n",
                .yellow
            )
        }
        try Terminal.output.write(text)
    }
}
