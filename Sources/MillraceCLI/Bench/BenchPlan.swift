/// How much is measured: every duration, size and limit of a run.
struct BenchPlan: Sendable {
    /// Rounds in which all contestants of a contest take their turns.
    var rounds: Int
    /// How long one turn takes.
    var turn: Duration
    /// How long the load of the end-to-end latency lasts.
    var openLoop: Duration
    /// Callers that append single events at once.
    var callers: [Int]
    /// Clients of the plain one-row INSERT beside those callers.
    var clients: [Int]
    /// SQL clients that publish.
    var publishers: Int
    /// Events a request, and requests in flight, each in streams of about six events.
    var requestSizes: [Int]
    var connections: [Int]
    /// What the largest request is also measured with.
    var shapes: [StreamShape]
    var subscribers: [Int]
    /// Events a second of the open loop.
    var openLoopRates: [Int]
    /// Events in the log that is read.
    var readable: Int
    /// Events of the long stream that is read.
    var longStream: Int
    /// Events of the aggregates that are loaded.
    var aggregates: [Int]
    var growthEvents: Int

    /// Before the rounds each contestant takes a turn that is not counted: connections open, statements are prepared, caches fill.
    var warmUp: Duration { min(turn / 4, .milliseconds(500)) }

    /// How long subscribers may take for what is left when the writers have finished.
    static let drainLimit = Duration.seconds(30)
    /// Appends that the open loop has under way at the most; those that are due beyond that wait, and their wait counts.
    static let openLoopInFlight = 4_096
    /// Where the open loop is later than this, the rate is beyond the store: what is still to be sent is given up, and the table says so.
    static let longestLateness = Duration.seconds(10)
    /// A single call's latency is compared in shorter turns and more rounds: it shows every hiccup of a disk.
    static let shorterTurns = 4
    static let roundLimits = 1...25
    static let secondLimits = 1...600
    static let growthLimits = 60_000...200_000_000
    /// What a growing log is compared with.
    static let smallLog = 100_000
    static let growthMonths = 24
    static let seed: UInt64 = 0x4D69_6C6C_7261_6365

    static func full(seconds: Int, rounds: Int, growthEvents: Int) -> BenchPlan {
        BenchPlan(
            rounds: rounds,
            turn: .seconds(seconds),
            openLoop: .seconds(max(5, seconds * 3)),
            callers: [1, 8, 64, 256],
            clients: [1, 8, 32, 64],
            publishers: 32,
            requestSizes: [10, 100, 1000],
            connections: [1, 2],
            shapes: [.sixEach, .few, .new],
            subscribers: [1, 10, 100],
            openLoopRates: [1_000, 10_000],
            readable: 200_000,
            longStream: 10_000,
            aggregates: [10, 1_000, 100_000],
            growthEvents: growthEvents
        )
    }

    /// Some twenty seconds in all: that everything works, not how fast.
    static func quick(growthEvents: Int) -> BenchPlan {
        BenchPlan(
            rounds: 2,
            turn: .milliseconds(250),
            openLoop: .seconds(1),
            callers: [1, 64],
            clients: [64],
            publishers: 8,
            requestSizes: [100],
            connections: [1, 2],
            shapes: [.sixEach],
            subscribers: [1, 10],
            openLoopRates: [500],
            readable: 6_000,
            longStream: 2_000,
            aggregates: [10, 1_000],
            growthEvents: growthEvents
        )
    }
}

/// How the events of a writer are spread over streams.
enum StreamShape: String, Sendable, CaseIterable {
    case sixEach = "about six events a stream"
    case few = "ten streams a writer"
    case new = "a new stream each"
}
