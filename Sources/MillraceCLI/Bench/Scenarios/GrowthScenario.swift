import Millrace
import MillracePostgres

/// Appending to and reading from a small log, a large one in one month, and a large one in many months, turn by turn.
struct GrowthScenario {
    let stage: BenchStage

    private static let months = PostgresStatement.embedded(PackageResources.bench_months_sql)
    private static let reopen = PostgresStatement.embedded(PackageResources.bench_reopen_sql)
    private static let counts = PostgresStatement.embedded(PackageResources.bench_counts_sql)
    private static let fill = PostgresStatement.embedded(PackageResources.bench_fill_sql)
    /// Events that one statement fills in, whole streams of six.
    private static let filledAtOnce: Int64 = 600_000
    private static let requestSize = 100

    private struct Log {
        let name: String
        let store: EventStore
        let events: Int
        let tally: BenchTally
    }

    func run() async throws -> [ContestResult] {
        try await withLog("small", BenchPlan.smallLog, months: 1) { small in
            try await withLog("grown", stage.plan.growthEvents, months: 1) { grown in
                try await withLog("months", stage.plan.growthEvents, months: BenchPlan.growthMonths) { months in
                    let logs = [small, grown, months]
                    return [
                        try await contest("append, \(GrowthScenario.requestSize) events a request", logs, append),
                        try await contest("read 100 pages from a place in the log", logs, read),
                        try await contest("the same among the newest \(newest.grouped) events", logs, readNewest),
                        try await contest("read streams of six", logs, measure: .latency, streams),
                        try await contest("the same among the newest", logs, measure: .latency, newestStreams),
                    ]
                }
            }
        }
    }

    private func contest(
        _ title: String,
        _ logs: [Log],
        measure: Contest.Measure = .rate,
        _ take: @escaping @Sendable (Log, Contest.TurnOrder) async throws -> Turn
    ) async throws -> ContestResult {
        let contestants = logs.map { log in
            Contest.Contestant(name: log.name, kind: .millrace) { order in
                var turn = try await take(log, order)
                // None of the databases is the stage's own.
                log.tally.add(turn)
                turn.appended = 0
                return turn
            }
        }
        return try await stage.hold(
            Contest(scenario: .growth, title: title, measure: measure, contestants: contestants)
        )
    }

    private func append(_ log: Log, _ order: Contest.TurnOrder) async throws -> Turn {
        try await Turn.taken(by: 1, for: order.duration) { _, clock in
            var events = stage.events(.sixEach, order)
            while clock.isRunning {
                let request = events.request(of: GrowthScenario.requestSize)
                try await clock.time(events: GrowthScenario.requestSize) { try await log.store.append(request) }
            }
        }.intoLog
    }

    /// So many events are in memory whatever the log holds: what is left is what its size costs, without the disk's part.
    private var newest: Int { BenchPlan.smallLog }

    private func read(_ log: Log, _ order: Contest.TurnOrder) async throws -> Turn {
        try await read(log, order, from: 0...Int64(log.events / 2))
    }

    private func readNewest(_ log: Log, _ order: Contest.TurnOrder) async throws -> Turn {
        let last = Int64(log.events)
        return try await read(log, order, from: max(0, last - Int64(newest))...max(0, last - Int64(newest) / 2))
    }

    private func read(
        _ log: Log,
        _ order: Contest.TurnOrder,
        from places: ClosedRange<Int64>
    ) async throws -> Turn {
        try await Turn.taken(by: 1, for: order.duration) { _, clock in
            var random = SplitMix64(state: UInt64(order.number))
            while clock.isRunning {
                var position = Position(Int64.random(in: places, using: &random))
                for _ in 0..<100 where clock.isRunning {
                    let after = position
                    var page: EventPage?
                    try await clock.time(events: 0) { page = try await log.store.readPage(after: after) }
                    guard let page else { return }
                    clock.count(events: page.events.count)
                    position = page.scannedTo
                }
            }
        }
    }

    private func streams(_ log: Log, _ order: Contest.TurnOrder) async throws -> Turn {
        try await streams(log, order, numbers: 0..<log.events / 6)
    }

    private func newestStreams(_ log: Log, _ order: Contest.TurnOrder) async throws -> Turn {
        try await streams(log, order, numbers: max(0, (log.events - newest) / 6)..<log.events / 6)
    }

    private func streams(_ log: Log, _ order: Contest.TurnOrder, numbers: Range<Int>) async throws -> Turn {
        try await Turn.taken(by: 1, for: order.duration) { _, clock in
            var random = SplitMix64(state: UInt64(order.number))
            while clock.isRunning {
                let stream = StreamID("order", "fill-\(Int.random(in: numbers, using: &random))")
                var read = 0
                try await clock.time(events: 0) {
                    for try await _ in log.store.readStream(stream) { read += 1 }
                }
                clock.count(events: read)
            }
        }
    }

    private func withLog<Value: Sendable>(
        _ name: String,
        _ events: Int,
        months: Int,
        _ body: (Log) async throws -> Value
    ) async throws -> Value {
        let label = "\(events.grouped) events in \(months) \(months == 1 ? "month" : "months")"
        return try await stage.server.withDatabase("growth_\(name)") { address in
            var configuration = PostgresConfiguration(address)
            configuration.acquireTimeout = .seconds(120)
            return try await withPostgresClient(configuration, logger: DatabaseOptions.logger) { client in
                try await fill(client, label, Int64(events), months)
                let store = EventStore(client, logger: DatabaseOptions.logger)
                let log = Log(name: label, store: store, events: events, tally: BenchTally())
                let value = try await body(log)
                await store.flush()
                try await check(log)
                return value
            }
        }
    }

    private func check(_ log: Log) async throws {
        let stored = try await log.store.client.query(GrowthScenario.counts).single().decode(Int.self, at: 0)
        guard stored == log.events + log.tally.appended else {
            throw Failure(
                .failed,
                "the log of \(log.name) holds \(stored.grouped) events and not \((log.events + log.tally.appended).grouped)"
            )
        }
    }

    /// By the server alone, as its owner.
    private func fill(_ client: PostgresClient, _ label: String, _ events: Int64, _ months: Int) async throws {
        try await client.query(GrowthScenario.months, [.int4(Int32(months))])
        let body = stage.orders[0]
        for first in stride(from: 1, through: events, by: Int(GrowthScenario.filledAtOnce)) {
            stage.display.say("\(label): \(first.grouped) stored")
            try await client.query(
                GrowthScenario.fill,
                [
                    .int8(min(GrowthScenario.filledAtOnce, events - first + 1)), .int8(first), .int8(events),
                    .int4(Int32(months)), .text(body.type), .jsonb(body.data.utf8), .jsonb(body.metadata.utf8),
                ]
            )
        }
        try await client.query(GrowthScenario.reopen)
        try await Migrator(client: client).closeMonths()
        stage.display.say("\(label): vacuum")
        try await client.query(PostgresStatement("VACUUM ANALYZE millrace.events, millrace.streams", prepared: false))
    }
}
