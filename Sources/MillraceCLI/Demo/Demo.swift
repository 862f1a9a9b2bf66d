import ArgumentParser
import Millrace
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run an order system for a while and check what came of it.",
        discussion: """
            Producers publish the events of many orders at once; three handlers (billing, shipping, a live projection \
            of revenue) handle every one of them. The summary compares what was published with what the tables hold.

            Events cannot be deleted, so the demo's go to Millrace's own PostgreSQL in --data-dir, whatever DATABASE_URL and \
            the PG* variables say, and to another database only where --database-url names it.

            With --json: {"run", "published", "stored", "streams", "checks":[{"claim", "detail", "holds"}]}.
            """
    )

    /// How long the consumers may take for what is left when the producers have finished.
    static let drainLimit = Duration.seconds(60)

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Orders to place, of three to five events each.")
    var orders = 3000

    @Option(help: "Stop after this many seconds, however many orders were placed.")
    var seconds: Int?

    @Option(help: "Orders that are placed at once.")
    var producers = 16

    @Flag(help: "Place orders until Ctrl-C.")
    var forever = false

    func validate() throws {
        guard orders >= 1, producers >= 1, producers <= 256, seconds ?? 1 >= 1 else {
            throw ValidationError("--orders and --seconds are at least 1, --producers is 1 to 256.")
        }
    }

    func run() async throws {
        let connections = min(producers, 16) + OrderConsumer.allCases.count * 2 + 2
        try await database.withStore(on: database.choiceByOptions, connections: connections) { [self] store in
            let progress = DemoProgress()
            // Ctrl-C stops the producers only; the consumers finish, and the summary is told.
            let work = Task { try await run(store, progress) }
            try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                progress.stop()
            }
        }
    }

    private func run(_ store: EventStore, _ progress: DemoProgress) async throws {
        let run = String(UUID().uuidString.lowercased().prefix(8))
        try await store.client.script(DemoSQL.schema)
        let start = try await store.lastPosition()
        let worker = HandlerWorker(
            store,
            handlers: OrderConsumer.allCases.map { $0.handler(run: run, from: start, progress: progress) },
            options: WorkerOptions(lanesAtOnce: OrderConsumer.allCases.count),
            logger: DatabaseOptions.logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            group.addTask { try await conduct(worker, progress) }
            group.addTask { try await produce(store, run, progress) }
            // The first failure ends the others at once; waitForAll() would let them finish.
            while try await group.next() != nil {}
        }
        for consumer in OrderConsumer.allCases {
            // Nobody will run them after this: they would only be missed.
            try await store.client.query(DemoSQL.forget, [.text(consumer.handlerName)])
        }
        let published = progress.snapshot.published
        let summary = try await DemoSummary(of: run, after: start, published: published, client: store.client)
        try report(summary)
    }

    /// Shows the run while it goes, and ends the consumers when they have handled everything.
    private func conduct(_ worker: HandlerWorker, _ progress: DemoProgress) async throws {
        var display = DemoDisplay(progress: progress, isShown: !output.json)
        let deadline = seconds.map { ContinuousClock.now + .seconds($0) }
        while !progress.hasFinishedPublishing {
            try await Task.sleep(for: display.beat)
            try display.show()
            if let deadline, ContinuousClock.now >= deadline { progress.stop() }
        }
        let drained = ContinuousClock.now + Demo.drainLimit
        while !progress.snapshot.isDrained && ContinuousClock.now < drained {
            try await Task.sleep(for: DemoDisplay.redraw)
            if display.terminal.isInteractive { try display.show() }
        }
        try display.show()
        for consumer in OrderConsumer.allCases {
            // What is missing after that the summary says.
            try? await worker.store.waitUntilHandled(by: consumer.handlerName, within: Demo.drainLimit)
        }
        worker.stop()
    }

    private func produce(_ store: EventStore, _ run: String, _ progress: DemoProgress) async throws {
        let producer = OrderProducer(store: store, run: run, progress: progress)
        try await withThrowingTaskGroup(of: Void.self) { group in
            var number = 0
            for _ in 0..<producers where forever || number < orders {
                number += 1
                group.addTask { [number] in try await producer.placeOrder(number: number) }
            }
            while try await group.next() != nil {
                guard !progress.isStopping && (forever || number < orders) else { continue }
                number += 1
                group.addTask { [number] in try await producer.placeOrder(number: number) }
            }
        }
        progress.finishPublishing()
    }

    private func report(_ summary: DemoSummary) throws {
        if output.json {
            try Terminal.output.write(summary.jsonLine())
        } else {
            try write(summary, to: .output)
        }
        guard summary.allHold else {
            throw Failure(
                .failed,
                "the tables do not agree with what was published; see \(output.json ? "holds" : "WRONG")"
            )
        }
    }

    private func write(_ summary: DemoSummary, to terminal: Terminal) throws {
        try terminal.write("\n")
        let width = summary.checks.map(\.claim.count).max() ?? 0
        for check in summary.checks {
            let mark = check.holds ? terminal.styled("ok", .bold, .green) : terminal.styled("WRONG", .bold, .red)
            let padding = String(repeating: " ", count: width - check.claim.count)
            try terminal.write("  \(check.claim)\(padding)  \(mark)  \(check.detail)\n")
        }
        try terminal.write("\n")
    }
}
