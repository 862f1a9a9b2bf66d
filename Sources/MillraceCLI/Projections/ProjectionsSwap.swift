import ArgumentParser
import Millrace

struct ProjectionsSwap: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap",
        abstract: "Let a generation that is built serve, when it is equal to the one that does.",
        discussion: """
            One transaction; readers see the one or the other. It is tried again while it is not equal yet, or while a reader's long \
            transaction holds the views. The other is kept: `millrace projections rollback` goes back to it. A person is asked before \
            anything happens; a script says --yes.

            Example: millrace projections swap orders --yes
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The projection's name.")
    var name: String

    @Option(help: "Which; otherwise the newest that is being built.")
    var generation: Int?

    @Flag(help: "As it is, however far behind: readers see older data until it has caught up.")
    var force = false

    @Option(help: "Why; kept with what was done.")
    var reason: String?

    @Option(help: ArgumentHelp("For how long it is tried.", valueName: "seconds"))
    var within = 60

    @Flag(help: "Do it without being asked.")
    var yes = false

    func validate() throws {
        if !(0...86_400).contains(within) { throw ValidationError("--within is from 0 to 86,400 seconds.") }
    }

    func run() async throws {
        let status = try await database.withStore { [self] store in
            let projections = store.projections
            let serving = try await projections.list(of: name).first { $0.state == .serving }
            let behind = force ? " as it is, however far behind" : " when it is equal"
            try await Confirmation(isGiven: yes, look: "`millrace projections`").obtain(
                for:
                    "\(generation.map { "Generation \($0)" } ?? "The newest generation") of \(name.printable) will serve\(behind)"
                    + (serving.map { ", in the place of generation \($0.generation)." } ?? ".")
            )
            let number = try await projections.swap(
                name,
                generation: generation,
                force: force,
                reason: reason,
                within: .seconds(within)
            )
            return try await projections.status(of: name, generation: number)
        }
        try Terminal.output.write(
            output.json
                ? status.jsonLine.line : "Generation \(status.generation) of \(status.projection) serves.\n"
        )
    }
}

struct ProjectionsRollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Go back to a generation that served before.",
        discussion: """
            It is written with what came since it was replaced, and takes the place of the one that serves when it is equal to it. Its \
            code has to run: of a version that nothing runs any more, start a process first. --now lets it serve at once, with older data \
            until it has caught up. Ctrl-C leaves it catching up. A person is asked before anything happens; a script says --yes.

            Example: millrace projections rollback orders --now --reason "version 2 counts twice" --yes
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var patience: ProjectionPatienceOption

    @Argument(help: "The projection's name.")
    var name: String

    @Option(help: "To which; otherwise the one that was replaced last.")
    var generation: Int?

    @Flag(help: "Let it serve at once, and catch up afterwards.")
    var now = false

    @Option(help: "Why; kept with what was done.")
    var reason: String?

    @Flag(help: "Do it without being asked.")
    var yes = false

    func run() async throws {
        let status = try await database.withStore { [self] store in
            let projections = store.projections
            let mode = try await projections.list(of: name).first?.mode
            if now, mode == .inline {
                throw Failure(
                    .usage,
                    "\(name.printable) is inline, and what is behind cannot serve: leave --now away; it is swapped when it is equal"
                )
            }
            try await Confirmation(isGiven: yes, look: "`millrace projections`").obtain(for: question)
            let number = try await projections.rollBack(name, to: generation, reason: reason)
            if now {
                try await projections.swap(name, generation: number, force: true, reason: reason)
            } else {
                try await ProjectionWait(projections: projections, patience: patience.duration).wait(
                    for: name,
                    generation: number,
                    untilBuiltOnly: false
                )
            }
            return try await projections.status(of: name, generation: number)
        }
        try Terminal.output.write(
            output.json
                ? status.jsonLine.line : "Generation \(status.generation) of \(status.projection) serves again.\n"
        )
    }

    private var question: String {
        let which =
            generation.map { "Generation \($0) of \(name.printable)" }
            ?? "The generation of \(name.printable) that was replaced last"
        return which
            + (now
                ? " will serve at once: readers see older data until it has caught up."
                : " will catch up, and serve when it is equal.")
    }
}
