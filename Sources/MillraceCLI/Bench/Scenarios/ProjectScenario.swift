import Logging
import Millrace
import MillracePostgres

/// A read model built from the whole log by one worker, beside reading the same log.
struct ProjectScenario {
    let stage: BenchStage

    private static let built = PostgresStatement.embedded(PackageResources.bench_built_sql)
    private static let upsert = PostgresStatement.embedded(PackageResources.bench_upsert_sql)
    private static let rebuild: PostgresStatement = "SELECT millrace.rebuild_projection($1)"
    private static let drop: PostgresStatement = "SELECT millrace.drop_generation($1, $2)"

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            try await stage.fill(store, events: stage.plan.readable)
            let rows = ProjectScenario.rows
            let sums = ProjectScenario.sums
            for projection in [rows, sums] { try await build(projection, in: store) }
            return [
                try await stage.hold(
                    Contest(
                        scenario: .project,
                        title: "\(stage.plan.readable.grouped) events from the first to the last, rebuilt and swapped",
                        contestants: [
                            read(store),
                            rebuilt("a row for each event, by COPY", rows, store),
                            rebuilt("a row for each stream, INSERT … ON CONFLICT for a batch", sums, store),
                        ]
                    ),
                    warmUp: .zero
                )
            ]
        }
    }

    private static let rows = Projection(
        batches: "bench_rows",
        tables:
            "CREATE TABLE bench_rows (position bigint NOT NULL, stream text NOT NULL, version int NOT NULL, cents bigint)"
    ) { events, context in
        var rows = PostgresCopyRows()
        for event in events {
            rows.append([
                .int8(event.position.rawValue), .text(event.stream.aggregateID), .int4(Int32(event.version)), .int8(0),
            ])
        }
        try await context.copy(rows, into: "bench_rows", columns: ["position", "stream", "version", "cents"])
    }

    private static let sums = Projection(
        batches: "bench_sums",
        tables: "CREATE TABLE bench_sums (stream text PRIMARY KEY, events bigint NOT NULL, version int NOT NULL)"
    ) { events, context in
        var streams: [String: (events: Int64, version: Int32)] = [:]
        for event in events {
            let before = streams[event.stream.aggregateID]?.events ?? 0
            streams[event.stream.aggregateID] = (before + 1, Int32(event.version))
        }
        try await context.transaction.query(
            upsert,
            [
                .textArray(Array(streams.keys)), .int8Array(streams.values.map(\.events)),
                .int4Array(streams.values.map(\.version)),
            ]
        )
    }

    private func read(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "readAll, nothing projected", kind: .millrace) { [stage] _ in
            let began = ContinuousClock.now
            var turn = Turn()
            for try await _ in store.readAll() { turn.events += 1 }
            turn.seconds = (ContinuousClock.now - began).seconds
            guard turn.events == stage.plan.readable else { throw missing(turn.events) }
            return turn
        }
    }

    private func rebuilt(_ name: String, _ projection: Projection, _ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: name, kind: .millrace) { _ in
            let generation = try await store.client.query(ProjectScenario.rebuild, [.text(projection.name)]).single()
                .decode(Int32.self, at: 0)
            var turn = Turn()
            turn.seconds = try await build(projection, in: store)
            turn.events = stage.plan.readable
            // Only what is measured is kept.
            try await store.client.query(ProjectScenario.drop, [.text(projection.name), .int4(generation - 1)])
            return turn
        }
    }

    /// Until the newest generation serves and has every event.
    @discardableResult
    private func build(_ projection: Projection, in store: EventStore) async throws -> Double {
        let last = try await store.lastPosition()
        let options = WorkerOptions(beat: .milliseconds(100))
        let began = ContinuousClock.now
        let worker = HandlerWorker(store, projections: [projection], options: options, logger: ProjectScenario.quiet)
        let work = Task { try await worker.run() }
        var found: (slowest: Int64, rows: Int64) = (0, 0)
        while found.slowest < last.rawValue {
            try await Task.sleep(for: .milliseconds(10))
            guard let row = try await store.client.query(ProjectScenario.built, [.text(projection.name)]).first else {
                continue
            }
            found = try row.decode(Int64.self, Int64.self)
        }
        let seconds = (ContinuousClock.now - began).seconds
        worker.stop()
        try await work.value
        let processed = try await store.client.query(ProjectScenario.built, [.text(projection.name)]).single()
            .decode(Int64.self, at: 1)
        guard processed == stage.plan.readable else { throw missing(Int(processed)) }
        return seconds
    }

    private static let quiet = {
        var logger = Logger(label: "millrace.bench")
        logger.logLevel = .critical
        return logger
    }()

    private func missing(_ count: Int) -> Failure {
        Failure(.failed, "\(count.grouped) events were read or projected, and not \(stage.plan.readable.grouped)")
    }
}
