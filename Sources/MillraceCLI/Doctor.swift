import ArgumentParser
import Millrace
import MillracePostgres

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look for what is wrong, or will be, and say what to do about it.",
        discussion: """
            Changes nothing and scans nothing: settings, privileges, the catalogue, who holds the horizon, who handles events.

            Exit codes: \(ExitStatus.done.rawValue) where all is fine or there are only warnings, \
            \(ExitStatus.unhealthy.rawValue) where a check failed, \(ExitStatus.unreachable.rawValue) where no \
            PostgreSQL could be reached. With --json: {"checks":[{"name", "verdict": ok, warning or failed, "finding", \
            "remedy" where there is one}]}.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "How long a transaction may hold the horizon, or events may wait for a worker, without a warning; a transaction ten times as long is a failure.",
            valueName: "seconds"
        )
    )
    var patience = 10

    func validate() throws {
        if !(0...86_400).contains(patience) { throw ValidationError("--patience is from 0 to 86,400 seconds.") }
    }

    func run() async throws {
        let diagnosis = try await database.withClient { [patience] client in
            let server = try await ServerFacts(client)
            guard server.isNewEnough else { return Diagnosis(checks: server.checks) }
            let store = StoreChecks(client: client, server: server, patience: .seconds(patience))
            return Diagnosis(checks: server.checks + (try await store.run()))
        }
        try Terminal.output.write(output.json ? diagnosis.jsonLine() : diagnosis.text(for: .output))
        let failed = diagnosis.count(.failed)
        if failed > 0 {
            throw Failure(
                .unhealthy,
                failed == 1
                    ? "one check failed: do what is said there" : "\(failed) checks failed: do what is said there"
            )
        }
    }
}
