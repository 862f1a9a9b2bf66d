import Millrace
import MillracePostgres
import Synchronization

/// Live subscribers of one process, beside the same writers with none: whether they keep up, and what they ask PostgreSQL for.
struct FanoutScenario {
    let stage: BenchStage

    private static let calls = PostgresStatement.embedded(PackageResources.bench_calls_sql)
    private static let counted = PostgresStatement.embedded(PackageResources.bench_sessions_sql)
    private static let sessions = "millrace-bench-subscribers"
    private static let sessionLimit = Duration.seconds(5)
    private static let sessionBeat = Duration.milliseconds(20)

    private var writers: Int { stage.plan.clients.max() ?? 1 }

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            try await stage.withClient(connections: 1) { asking in
                let alone = Contest.Contestant(name: "no subscriber, rate of the append", kind: .millrace) {
                    [stage, writers] in
                    try await stage.appendSingly(store, callers: writers, $0)
                }
                let contestants = stage.plan.subscribers.map { subscribed($0, store, asking) }
                return [
                    try await stage.hold(
                        Contest(
                            scenario: .fanout,
                            title: "\(writers) callers append; the rate at which every subscriber has received it",
                            contestants: [alone] + contestants
                        ),
                        warmUp: .zero
                    )
                ]
            }
        }
    }

    private func subscribed(_ count: Int, _ store: EventStore, _ asking: PostgresClient) -> Contest.Contestant {
        let name = "\(count) \(count == 1 ? "subscriber" : "subscribers")"
        return Contest.Contestant(name: name, kind: .millrace) { [stage] order in
            let before = try await calls(asking)
            // Connections of their own: a service's writers are not held up by its readers' pool. And of this turn alone: a
            // session hands in what it has counted when it ends, and otherwise takes its time.
            var turn = try await stage.withStore(named: FanoutScenario.sessions) { reading in
                let start = try await reading.lastPosition()
                return try await LiveSubscribers(reading, count: count, from: start).following { progress in
                    try await follow(progress, store, order)
                }
            }
            if let before, try await sessionsAreGone(asking), let after = try await calls(asking) {
                turn.figures["pages read by all"] = Double(after.pages - before.pages)
                turn.figures["calls of horizon"] = Double(after.horizons - before.horizons)
            }
            return turn
        }
    }

    private func follow(
        _ progress: SubscriberProgress,
        _ store: EventStore,
        _ order: Contest.TurnOrder
    ) async throws -> Turn {
        let began = ContinuousClock.now
        var turn = try await stage.appendSingly(store, callers: writers, order)
        let appended = turn.appended
        try await progress.waitForAll(events: appended, within: BenchPlan.drainLimit)
        turn.seconds = (ContinuousClock.now - began).seconds
        turn.events = progress.slowest
        turn.latencies = Latencies()
        turn.figures["events appended"] = Double(appended)
        turn.figures["events delivered to all"] = Double(progress.delivered)
        turn.figures["pages of one subscriber"] = progress.pagesOfOne
        return turn
    }

    /// nil where the server does not count them for us.
    private func calls(_ client: PostgresClient) async throws -> (pages: Int64, horizons: Int64)? {
        guard stage.countsCalls else { return nil }
        func count(_ name: String) async throws -> Int64 {
            try await client.query(FanoutScenario.calls, [.text(name)]).first?.decode(Int64.self, at: 0) ?? 0
        }
        return (try await count("begin_page") + count("read_page"), try await count("horizon"))
    }

    /// - Returns: false where some of them are there for longer than they may.
    private func sessionsAreGone(_ client: PostgresClient) async throws -> Bool {
        let deadline = ContinuousClock.now + FanoutScenario.sessionLimit
        while ContinuousClock.now < deadline {
            let row = try await client.query(FanoutScenario.counted, [.text(FanoutScenario.sessions)]).single()
            if try row.decode(Int64.self, at: 0) == 0 { return true }
            try await Task.sleep(for: FanoutScenario.sessionBeat)
        }
        return false
    }
}

/// Subscribers that do nothing but count.
struct LiveSubscribers {
    private let store: EventStore
    private let start: Position
    private let progress: SubscriberProgress

    init(_ store: EventStore, count: Int, from start: Position) {
        self.store = store
        self.start = start
        progress = SubscriberProgress(count: count)
    }

    /// Runs `body` while they follow the log; they are caught up when it begins.
    func following<Value: Sendable>(_ body: (SubscriberProgress) async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let subscriptions = (0..<progress.count).map { _ in store.subscribeToPages(from: .after(start)) }
            for (index, subscription) in subscriptions.enumerated() {
                group.addTask { [progress] in
                    for try await page in subscription { progress.received(page, by: index) }
                }
            }
            do {
                try await progress.waitForStart(within: BenchPlan.drainLimit)
                let value = try await body(progress)
                for subscription in subscriptions { subscription.stop() }
                try await group.waitForAll()
                return value
            } catch {
                group.cancelAll()
                throw error
            }
        }
    }
}

/// How far each of some subscribers is.
final class SubscriberProgress: Sendable {
    private struct State {
        var events: [Int]
        var pages: [Int]
        var started: [Bool]
    }

    private static let beat = Duration.milliseconds(1)

    let count: Int
    private let state: Mutex<State>

    init(count: Int) {
        self.count = count
        state = Mutex(
            State(
                events: Array(repeating: 0, count: count),
                pages: Array(repeating: 0, count: count),
                started: Array(repeating: false, count: count)
            )
        )
    }

    func received(_ page: EventPage, by index: Int) {
        state.withLock { state in
            state.events[index] += page.events.count
            state.pages[index] += page.events.isEmpty ? 0 : 1
            state.started[index] = true
        }
    }

    /// Events of the subscriber that has received the fewest.
    var slowest: Int { state.withLock { $0.events.min() ?? 0 } }
    var delivered: Int { state.withLock { $0.events.reduce(0, +) } }
    /// On average.
    var pagesOfOne: Double { state.withLock { Double($0.pages.reduce(0, +)) / Double(max(1, count)) } }

    func waitForStart(within limit: Duration) async throws {
        try await wait(within: limit) { $0.started.allSatisfy { $0 } }
        guard state.withLock({ $0.started.allSatisfy { $0 } }) else {
            throw Failure(.failed, "the subscribers did not catch up within \(limit.brief)")
        }
    }

    /// Returns when every subscriber has received so many, or when the limit is over.
    func waitForAll(events: Int, within limit: Duration) async throws {
        try await wait(within: limit) { state in state.events.allSatisfy { $0 >= events } }
    }

    private func wait(within limit: Duration, _ condition: (State) -> Bool) async throws {
        let deadline = ContinuousClock.now + limit
        while !state.withLock({ condition($0) }), ContinuousClock.now < deadline {
            try await Task.sleep(for: SubscriberProgress.beat)
        }
    }
}
