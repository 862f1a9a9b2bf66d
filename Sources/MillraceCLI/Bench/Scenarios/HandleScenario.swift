import Logging
import Millrace
import MillracePostgres

/// A log handled from its beginning to its end by one worker, with what a handler may do; beside reading the same log.
struct HandleScenario {
    let stage: BenchStage

    private static let effects = PostgresStatement.embedded(PackageResources.bench_effects_sql)
    private static let write = PostgresStatement.embedded(PackageResources.bench_effect_sql)
    private static let writeMany = PostgresStatement.embedded(PackageResources.bench_effects_many_sql)
    private static let handled = PostgresStatement.embedded(PackageResources.bench_handled_sql)

    private typealias Body = @Sendable (RecordedEvent, HandlerContext) async throws -> HandlerOutcome

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            try await store.client.query(HandleScenario.effects)
            try await stage.fill(store, events: stage.plan.readable)
            return [
                try await stage.hold(
                    Contest(
                        scenario: .handle,
                        title: "\(stage.plan.readable.grouped) events from the first to the last",
                        contestants: [read(store), bare(store)]
                    ),
                    warmUp: .zero
                ),
                try await stage.hold(
                    Contest(
                        scenario: .handle,
                        title: "with a row written for each, everything audited",
                        contestants: [written(store), poisoned(store), batched(store)]
                    ),
                    warmUp: .zero
                ),
            ]
        }
    }

    private func read(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "readAll", kind: .millrace) { [stage] _ in
            let began = ContinuousClock.now
            var turn = Turn()
            for try await _ in store.readAll() { turn.events += 1 }
            turn.seconds = (ContinuousClock.now - began).seconds
            guard turn.events == stage.plan.readable else { throw HandleScenario.missing(turn.events, stage) }
            return turn
        }
    }

    private func bare(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "a handler that writes nothing", kind: .millrace) { order in
            try await handle(store, order, Handler("bench-\(order.number)") { _, _ in .done })
        }
    }

    private func written(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "INSERT for each event", kind: .millrace) { order in
            let handler = Handler("bench-\(order.number)", options: HandlerOptions(audit: .all)) { event, context in
                try await HandleScenario.write(event, context)
                return .done
            }
            return try await handle(store, order, handler)
        }
    }

    /// One event in a hundred fails for ever; its stream waits.
    private func poisoned(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "the same, 1 % fail for ever", kind: .millrace) { order in
            let options = HandlerOptions(retry: HandlerRetryPolicy(attempts: 3), audit: .all, parkedLimit: 1_000_000)
            let handler = Handler("bench-\(order.number)", options: options) { event, context in
                try await HandleScenario.write(event, context)
                return event.position.rawValue.isMultiple(of: 100) ? .retry(because: "it always fails") : .done
            }
            return try await handle(store, order, handler)
        }
    }

    private func batched(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "INSERT … SELECT unnest for each batch", kind: .millrace) { order in
            let handler = Handler.batches("bench-\(order.number)", options: HandlerOptions(audit: .all)) {
                events,
                context in
                try await context.transaction.query(
                    HandleScenario.writeMany,
                    [
                        .text(context.handler), .int8Array(events.map(\.position.rawValue)),
                        .textArray(events.map { "\($0.stream)" }),
                    ]
                )
                return .done
            }
            return try await handle(store, order, handler)
        }
    }

    private static func write(_ event: RecordedEvent, _ context: HandlerContext) async throws {
        try await context.transaction.query(
            write,
            [.text(context.handler), .int8(event.position.rawValue), .text("\(event.stream)")]
        )
    }

    /// Until the last event is settled, that is handled or waiting.
    private func handle(_ store: EventStore, _ order: Contest.TurnOrder, _ handler: Handler) async throws -> Turn {
        let last = try await store.lastPosition()
        let options = WorkerOptions(beat: .milliseconds(100))
        let began = ContinuousClock.now
        let worker = HandlerWorker(store, handlers: [handler], options: options, logger: HandleScenario.quiet)
        let work = Task { try await worker.run() }
        var handled: (processed: Int64, slowest: Int64, aside: Int64) = (0, 0, 0)
        while handled.slowest < last.rawValue {
            try await Task.sleep(for: .milliseconds(20))
            handled = try await store.client.query(HandleScenario.handled, [.text(handler.name)]).single()
                .decode(Int64.self, Int64.self, Int64.self)
        }
        var turn = Turn()
        turn.seconds = (ContinuousClock.now - began).seconds
        worker.stop()
        try await work.value
        handled = try await store.client.query(HandleScenario.handled, [.text(handler.name)]).single()
            .decode(Int64.self, Int64.self, Int64.self)
        turn.events = Int(handled.processed + handled.aside)
        guard turn.events == stage.plan.readable else { throw HandleScenario.missing(turn.events, stage) }
        return turn
    }

    private static let quiet = {
        var logger = Logger(label: "millrace.bench")
        logger.logLevel = .critical
        return logger
    }()

    private static func missing(_ count: Int, _ stage: BenchStage) -> Failure {
        Failure(.failed, "\(count.grouped) events were handled or set aside, and not \(stage.plan.readable.grouped)")
    }
}
