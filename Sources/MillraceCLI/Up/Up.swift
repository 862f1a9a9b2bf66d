import ArgumentParser
import Millrace
import MillraceEmbedded
import MillracePostgres

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run Millrace's own PostgreSQL in the foreground, until Ctrl-C.",
        discussion: """
            Includes the daemon (millrace work): SQL handlers run, months are made and closed, and the ledger is sealed where \
            there is one and its key is in --data-dir as \(LedgerKeyFile.nameInFolder), or named.

            Starts it in --data-dir, brings the schema up to date, and prints the URL any PostgreSQL driver connects \
            with. The folder outlives the process; deleting it deletes the events.
            """
    )

    private static let connections = 10
    private static let lanesAtOnce = 4

    @Option(
        name: .customLong("data-dir"),
        help: ArgumentHelp("The folder that holds everything.", valueName: "folder")
    )
    var dataDirectory = ".millrace"

    @Option(help: "The port on 127.0.0.1; otherwise a free one, kept from start to start.")
    var port: Int?

    @Flag(help: "Listen on a Unix socket only.")
    var socketOnly = false

    @OptionGroup(title: "Ledger") var ledger: LedgerDutyOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if socketOnly && port != nil { throw ValidationError("--socket-only opens no port: leave --port out.") }
        if let port, !(1...65_535).contains(port) { throw ValidationError("--port is 1 to 65535.") }
    }

    func run() async throws {
        let began = ContinuousClock.now
        let duty = try ledger.duty(usual: "\(dataDirectory)/\(LedgerKeyFile.nameInFolder)")
        var configuration = EmbeddedConfiguration(dataDirectory: dataDirectory)
        configuration.listen = socketOnly ? .socketOnly : .loopback(port: port)
        let server = try await EmbeddedPostgres.start(configuration, logger: DatabaseOptions.logger)
        do {
            try await Interruption.watching { [self] in
                try await DatabaseOptions.withClient(server.connectionString, connections: Up.connections) { client in
                    _ = try await Migrator(client: client).migrate()
                    try announce(server, after: ContinuousClock.now - began)
                    let daemon = Daemon(
                        client,
                        options: WorkerOptions(lanesAtOnce: Up.lanesAtOnce),
                        ledger: duty,
                        logger: DatabaseOptions.logger
                    )
                    async let _ = daemon.run()
                    try await server.waitUntilExit()
                }
            }
        } catch is CancellationError {
            if !output.json { Terminal.error.say("\nStopping.\n") }
            try await server.stop(.fast)
            return
        } catch {
            try? await server.stop(.fast)
            throw error
        }
    }

    private func announce(_ server: EmbeddedPostgres, after duration: Duration) throws {
        if output.json {
            var line = JSONLine()
            line.add("url", string: server.url)
            line.add("process_id", number: Int64(server.processID))
            line.add("ready_after_seconds", json: JSON(duration.seconds.fixed(3)))
            try Terminal.output.write(line.line)
            return
        }
        try Terminal.output.write(
            """
            \(Terminal.output.styled("Millrace is up", .bold, .green)) in \(dataDirectory), ready after \(duration.brief). Ctrl-C stops it.

              \(server.url)

            Try, in another terminal:
              millrace tail
              millrace publish order.created order 42 '{"cents": 1250}'
              psql "\(server.url)" -c "SELECT * FROM millrace.read_all()"

            """
        )
    }
}
