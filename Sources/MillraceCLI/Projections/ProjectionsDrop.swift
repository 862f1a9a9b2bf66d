import ArgumentParser
import Millrace

struct ProjectionsDrop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Drop a generation that does not serve, with its tables.",
        discussion: """
            One that is being built, or is kept. Built anew it can be at any time; gone back to it can not. A person is asked before \
            anything happens; a script says --yes.

            Example: millrace projections drop orders --generation 1 --yes
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The projection's name.")
    var name: String

    @Option(help: "Which.")
    var generation: Int

    @Flag(help: "Do it without being asked.")
    var yes = false

    func run() async throws {
        let status = try await database.withStore { [self] store in
            let status = try await store.projections.status(of: name, generation: generation)
            try await Confirmation(isGiven: yes, look: "`millrace projections`").obtain(
                for:
                    "Generation \(generation) of \(name.printable) (\(status.stateText), \(status.bytes.bytes)) will be dropped, "
                    + "with everything in the schema \(status.schema)."
            )
            try await store.projections.drop(name, generation: generation)
            return status
        }
        var object = JSONLine()
        object.add("projection", string: status.projection)
        object.add("generation", number: Int64(status.generation))
        object.add("state_before", string: status.state.rawValue)
        object.add("bytes", number: status.bytes)
        try Terminal.output.write(
            output.json
                ? object.line
                : "Generation \(status.generation) of \(status.projection) is dropped: \(status.bytes.bytes) are free.\n"
        )
    }
}
