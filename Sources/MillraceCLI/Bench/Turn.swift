/// What came of one turn of one contestant.
struct Turn: Sendable {
    /// Events stored, read or delivered.
    var events = 0
    var seconds = 0.0
    /// Of each call, where calls were timed.
    var latencies = Latencies()
    /// Events that are in Millrace's log, and in the twin, because of it: what the tables are compared with.
    var appended = 0
    var inserted = 0
    /// Other figures, by name.
    var figures: [String: Double] = [:]

    var rate: Double { seconds > 0 ? Double(events) / seconds : 0 }
}

/// Times the calls of one task of a turn, until the turn's time is over.
struct TurnClock {
    private let deadline: ContinuousClock.Instant
    fileprivate var events = 0
    fileprivate var nanoseconds: [UInt64] = []

    fileprivate init(deadline: ContinuousClock.Instant) {
        self.deadline = deadline
    }

    var isRunning: Bool { !Task.isCancelled && ContinuousClock.now < deadline }

    mutating func time(events count: Int, _ call: () async throws -> Void) async throws {
        let began = ContinuousClock.now
        try await call()
        nanoseconds.append(UInt64((ContinuousClock.now - began).nanoseconds))
        events += count
    }

    /// Events that no single call stands for.
    mutating func count(events count: Int) { events += count }
}

extension Turn {
    /// Runs tasks side by side for a time; each calls what it measures over and over while its clock runs. The time that
    /// counts ends with the last call, not with the deadline.
    static func taken(
        by tasks: Int,
        for duration: Duration,
        _ body: @escaping @Sendable (_ task: Int, _ clock: inout TurnClock) async throws -> Void
    ) async throws -> Turn {
        let began = ContinuousClock.now
        var turn = Turn()
        try await withThrowingTaskGroup(of: TurnClock.self) { group in
            for task in 0..<tasks {
                group.addTask {
                    var clock = TurnClock(deadline: began + duration)
                    try await body(task, &clock)
                    return clock
                }
            }
            for try await clock in group {
                turn.events += clock.events
                for value in clock.nanoseconds { turn.latencies.record(nanoseconds: value) }
            }
        }
        try Task.checkCancellation()
        turn.seconds = (ContinuousClock.now - began).seconds
        return turn
    }

    /// The same with its events counted as stored in Millrace's log.
    var intoLog: Turn {
        var turn = self
        turn.appended = events
        return turn
    }

    var intoTwin: Turn {
        var turn = self
        turn.inserted = events
        return turn
    }
}
