import ArgumentParser
import Millrace

struct CheckEvents: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-events",
        abstract: "Look for stored events that code cannot read.",
        discussion: """
            With --program the log is given to a program of yours, which runs your upcasters and decodes your types: a main.swift with
              import Millrace
              await EventCheck(upcasters).knowing(OrderPlaced.self, OrderPaid.self).main()
            Without it only what needs no code is checked: that the data of an event without payload are a JSON object, its metadata an \
            object or nothing, and the schema_version in them a positive whole number.

            Examples:
              millrace check-events
              millrace check-events --program .build/release/check-events
              millrace check-events --program ./check-events --after 1000000 --type order.created

            Exit codes: \(ExitStatus.done.rawValue) where all can be read, \(ExitStatus.unhealthy.rawValue) where not, or where a type is not \
            known to the program.
            """
    )

    static let mostShown = 1...100_000

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var filter: FilterOptions

    @Option(
        help: ArgumentHelp("A program that EventCheck.main() makes, and its arguments behind it.", valueName: "path")
    )
    var program: String?

    @Argument(help: "What the program is called with.")
    var arguments: [String] = []

    @Option(help: "Only events after this position.")
    var after: Int64 = 0

    @Option(help: ArgumentHelp("Problems to show at the most; all are counted.", valueName: "count"))
    var show = 100

    func validate() throws {
        if after < 0 { throw ValidationError("--after is a position: 0 or more.") }
        if !CheckEvents.mostShown.contains(show) {
            throw ValidationError("--show is from 1 to \(CheckEvents.mostShown.upperBound.grouped).")
        }
        if program == nil, !arguments.isEmpty { throw ValidationError("Arguments are for --program.") }
    }

    func run() async throws {
        let report = try await database.withStore { [self] store in
            var progress = CheckProgress(isShown: !output.json)
            defer { progress.clear() }
            let start = Position(after)
            guard let program else {
                return try await store.checkEvents(
                    EventCheck(problemLimit: show),
                    after: start,
                    matching: filter.filter
                ) { progress.draw(events: $0.events) }
            }
            return try await CheckProgram(path: program, arguments: arguments, problemLimit: show)
                .check(store.readAll(after: start, matching: filter.filter)) { progress.draw(events: $0) }
        }
        try Terminal.output.write(output.json ? report.jsonLine() : CheckPage(report).text(for: .output))
        guard report.isClean else { throw Failure(.unhealthy, CheckPage(report).verdict) }
    }
}

/// One line that is drawn over and over, on a terminal only.
private struct CheckProgress {
    private let isShown: Bool
    private var drawnAt: ContinuousClock.Instant?

    init(isShown: Bool) { self.isShown = isShown && Terminal.error.isInteractive }

    mutating func draw(events: Int) {
        let now = ContinuousClock.now
        guard isShown, drawnAt.map({ now - $0 >= ImportProgressBar.shortestInterval }) ?? true else { return }
        drawnAt = now
        Terminal.error.say("\r\u{1B}[2K\(events.grouped) events")
    }

    func clear() {
        if drawnAt != nil { Terminal.error.say("\r\u{1B}[2K") }
    }
}
