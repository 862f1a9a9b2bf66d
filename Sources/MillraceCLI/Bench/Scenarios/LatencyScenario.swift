import Millrace
import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// From the moment an event was due to the moment a subscriber has it, while events come at a fixed rate whatever the store does:
/// a store that stalls is charged for every event that was due meanwhile.
struct LatencyScenario {
    /// The series that says what of the others is the bench's own doing.
    private static let lateness = "sent late, by the bench itself"
    private static let acknowledged = "due → acknowledged, durable"
    private static let delivered = "due → delivered"
    /// The series that a picture shows.
    static let pictured = [acknowledged, delivered]

    let stage: BenchStage

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            try await stage.withStore { reading in
                var results: [ContestResult] = []
                for rate in stage.plan.openLoopRates { results.append(try await measure(rate, store, reading)) }
                return results
            }
        }
    }

    /// One turn gives three series, so that their difference is of the same events.
    private func measure(_ rate: Int, _ store: EventStore, _ reading: EventStore) async throws -> ContestResult {
        let title = "\(rate.grouped) events/s"
        // The first second opens connections and prepares statements.
        stage.display.say("\(title): warming up")
        _ = try await turn(rate, for: min(.seconds(1), stage.plan.openLoop), store, reading)
        stage.display.say("\(title): \(stage.plan.openLoop.brief)")
        let took = try await turn(rate, for: stage.plan.openLoop, store, reading)
        let series: [(String, Latencies)] = [
            (LatencyScenario.acknowledged, took.acknowledged), (LatencyScenario.delivered, took.delivered),
            ("delivered after acknowledged", took.onTop), (LatencyScenario.lateness, took.lateness),
        ]
        let contestants = series.map { name, _ in
            Contest.Contestant(name: name, kind: .millrace) { _ in Turn() }
        }
        let contest = Contest(scenario: .latency, title: title, measure: .latency, contestants: contestants)
        let turns = series.map { _, latencies in
            [
                Turn(
                    events: took.count,
                    seconds: took.seconds,
                    latencies: latencies,
                    figures: took.givenUp > 0 ? ["events given up, the rate was too high": Double(took.givenUp)] : [:]
                )
            ]
        }
        return ContestResult(contest, turns: turns)
    }

    private struct Outcome {
        var count = 0
        /// Events that were never sent, because those before them were too late.
        var givenUp = 0
        var seconds = 0.0
        var acknowledged = Latencies()
        var delivered = Latencies()
        var onTop = Latencies()
        var lateness = Latencies()
    }

    private func turn(
        _ rate: Int,
        for duration: Duration,
        _ store: EventStore,
        _ reading: EventStore
    ) async throws -> Outcome {
        let count = max(1, Int(duration.seconds * Double(rate)))
        let order = Contest.TurnOrder(number: stage.tally.nextNumber(), duration: duration)
        let loop = OpenLoop(events: stage.events(.new, order), count: count, interval: .seconds(1) / rate)
        let start = try await reading.lastPosition()
        let subscription = reading.subscribe(from: .after(start))
        let (began, sent) = try await withThrowingTaskGroup(of: Void.self) { group in
            let (caughtUp, signal) = AsyncStream<Void>.makeStream()
            group.addTask {
                defer { signal.finish() }
                for try await element in subscription {
                    switch element {
                    case .event(let event): loop.times.deliver(event.id)
                    case .caughtUp: signal.finish()
                    case .progress: break
                    }
                }
            }
            for await _ in caughtUp {}
            try Task.checkCancellation()
            let began = ContinuousClock.now
            let sent = try await loop.run(store)
            try await loop.times.waitForDelivery(of: sent, within: BenchPlan.drainLimit)
            subscription.stop()
            try await group.waitForAll()
            return (began, sent)
        }
        stage.tally.add(Turn(appended: sent))
        return outcome(of: loop, began, sent)
    }

    private func outcome(of loop: OpenLoop, _ began: ContinuousClock.Instant, _ sent: Int) -> Outcome {
        var outcome = Outcome()
        outcome.count = sent
        outcome.givenUp = loop.count - sent
        outcome.seconds = (ContinuousClock.now - began).seconds
        for moment in loop.times.moments {
            guard let due = moment.due, let sent = moment.sent, let acknowledged = moment.acknowledged,
                let delivered = moment.delivered
            else { continue }
            outcome.lateness.record(sent - due)
            outcome.acknowledged.record(acknowledged - due)
            outcome.delivered.record(delivered - due)
            // A subscriber may see it before the answer to its writer has arrived: then it cost nothing on top.
            outcome.onTop.record(max(.zero, delivered - acknowledged))
        }
        return outcome
    }
}

/// Events that are appended when they are due, whether or not those before them are done.
struct OpenLoop: Sendable {
    let count: Int
    let times: EventTimes
    private let interval: Duration
    private let events: BenchEvents

    init(events: BenchEvents, count: Int, interval: Duration) {
        self.events = events
        self.count = count
        self.interval = interval
        times = EventTimes(count: count)
    }

    /// - Returns: how many were sent; not all where the store is slower than the rate by more than it can make up for.
    /// - Throws: what an append throws.
    func run(_ store: EventStore) async throws -> Int {
        var events = events
        let start = ContinuousClock.now
        return try await withThrowingTaskGroup(of: Void.self) { group in
            var inFlight = 0
            var sent = 0
            for number in 0..<count {
                let due = start + interval * number
                if due > .now { try await Task.sleep(until: due, tolerance: .zero, clock: .continuous) }
                // Beyond the limit the next waits for one to end; its time runs since it was due.
                if inFlight == BenchPlan.openLoopInFlight {
                    try await group.next()
                    inFlight -= 1
                }
                if .now - due > BenchPlan.longestLateness { break }
                let next = events.next()
                var event = next.event
                event.id = EventTimes.id(of: number, event.id)
                times.send(number, due: due)
                inFlight += 1
                sent += 1
                group.addTask { [event, times] in
                    try await store.append([event], to: next.stream)
                    times.acknowledge(number)
                }
            }
            try await group.waitForAll()
            return sent
        }
    }
}

/// When each event of an open loop was due, sent, acknowledged and delivered.
final class EventTimes: Sendable {
    struct Moments {
        var due: ContinuousClock.Instant?
        var sent: ContinuousClock.Instant?
        var acknowledged: ContinuousClock.Instant?
        var delivered: ContinuousClock.Instant?
    }

    private struct State {
        var moments: [Moments]
        var delivered = 0
    }

    private static let beat = Duration.milliseconds(1)

    private let state: Mutex<State>

    init(count: Int) {
        state = Mutex(State(moments: Array(repeating: Moments(), count: count)))
    }

    var moments: [Moments] { state.withLock { $0.moments } }

    func send(_ number: Int, due: ContinuousClock.Instant) {
        let now = ContinuousClock.now
        state.withLock { state in
            state.moments[number].due = due
            state.moments[number].sent = now
        }
    }

    func acknowledge(_ number: Int) {
        let now = ContinuousClock.now
        state.withLock { $0.moments[number].acknowledged = now }
    }

    func deliver(_ id: UUID) {
        let now = ContinuousClock.now
        let number = EventTimes.number(of: id)
        state.withLock { state in
            guard number < state.moments.count else { return }
            state.moments[number].delivered = now
            state.delivered += 1
        }
    }

    /// - Throws: ``Failure`` where they have not all been delivered in time.
    func waitForDelivery(of count: Int, within limit: Duration) async throws {
        let deadline = ContinuousClock.now + limit
        while state.withLock({ $0.delivered }) < count {
            guard ContinuousClock.now < deadline else {
                throw Failure(.failed, "the subscriber did not receive every event within \(limit.brief)")
            }
            try await Task.sleep(for: EventTimes.beat)
        }
    }

    /// An id whose last four bytes carry the number, so that a subscriber need not decode anything.
    static func id(of number: Int, _ id: UUID) -> UUID {
        var bytes = id.uuid
        (bytes.12, bytes.13) = (UInt8(number >> 24 & 255), UInt8(number >> 16 & 255))
        (bytes.14, bytes.15) = (UInt8(number >> 8 & 255), UInt8(number & 255))
        return UUID(uuid: bytes)
    }

    static func number(of id: UUID) -> Int {
        let bytes = id.uuid
        return Int(bytes.12) << 24 | Int(bytes.13) << 16 | Int(bytes.14) << 8 | Int(bytes.15)
    }
}
