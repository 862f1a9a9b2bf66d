import ArgumentParser
import Millrace

struct ProjectionsRebuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Build a projection anew from the log, beside the one that is read, and let it take its place.",
        discussion: """
            Shows how far it is until it serves. Ctrl-C, and giving up, leave it being built: `millrace projections` shows it, and it \
            serves by itself when it is equal. Readers see the old one until then, and the new one from one moment to the next. A person \
            is asked before anything happens; a script says --yes.

            Examples:
              millrace projections rebuild orders --yes
              millrace projections rebuild orders --version 2 --no-swap --detach --yes
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var patience: ProjectionPatienceOption

    @Argument(help: "The projection's name.")
    var name: String

    @Option(help: "Of its code; otherwise that of the generation that serves.")
    var version: Int?

    @Flag(name: .customLong("no-swap"), help: "Leave it built, until `millrace projections swap`.")
    var noSwap = false

    @Flag(help: "Do not wait for it.")
    var detach = false

    @Flag(help: "Do it without being asked.")
    var yes = false

    func validate() throws {
        if let version, version < 1 { throw ValidationError("--version is 1 or more.") }
    }

    func run() async throws {
        let status = try await database.withStore { [self] store in
            let projections = store.projections
            // A name that is wrong is told before anybody is asked.
            let serving = try await projections.list(of: name).first { $0.state == .serving }
            try await Confirmation(isGiven: yes, look: "`millrace projections`").obtain(for: question(serving))
            let generation = try await projections.rebuild(name, version: version, swapsByItself: !noSwap)
            if !detach {
                try await ProjectionWait(projections: projections, patience: patience.duration).wait(
                    for: name,
                    generation: generation,
                    untilBuiltOnly: noSwap
                )
            }
            return try await projections.status(of: name, generation: generation)
        }
        try Terminal.output.write(output.json ? status.jsonLine.line : text(status))
    }

    private func question(_ serving: ProjectionStatus?) -> String {
        let size = serving.map { ", which takes about \($0.bytes.bytes) beside what serves" } ?? ""
        return "\(name.printable) will be built anew from the whole log\(size)"
            + (noSwap ? "." : ", and take the place of what is read now when it is equal.")
    }

    private func text(_ status: ProjectionStatus) -> String {
        switch status.state {
        case .serving: "Generation \(status.generation) of \(status.projection) serves.\n"
        case .kept: "Generation \(status.generation) of \(status.projection) has served, and was replaced since.\n"
        case .building where detach:
            "Generation \(status.generation) of \(status.projection) is asked for: `millrace projections --watch` shows how far it is.\n"
        case .building:
            "Generation \(status.generation) of \(status.projection) is built: `millrace projections swap \(status.projection)` lets it serve.\n"
        }
    }
}

/// Waits for a generation, and shows how far it is.
struct ProjectionWait {
    let projections: ProjectionOperations
    let patience: Duration

    func wait(for name: String, generation: Int, untilBuiltOnly: Bool) async throws {
        let progress = ProjectionProgress()
        defer { progress.clear() }
        do {
            if untilBuiltOnly {
                try await projections.waitUntilBuilt(name, generation: generation, patience: patience) {
                    progress.show($0)
                }
            } else {
                try await projections.waitUntilServing(name, generation: generation, patience: patience) {
                    progress.show($0)
                }
            }
        } catch is CancellationError {
            progress.clear()
            Terminal.error.say(
                "Generation \(generation) of \(name) is left being built: `millrace projections` shows how far it is.\n"
            )
            throw CancellationError()
        }
    }
}
