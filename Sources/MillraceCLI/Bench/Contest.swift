/// Several ways to do the same, measured in turns: round by round each of them once, so that a noisy moment of the machine
/// meets all of them alike.
struct Contest: Sendable {
    /// What a ratio compares.
    enum Measure: String, Codable, Sendable {
        /// Events a second; a ratio above 1 is faster than the first.
        case rate
        /// The median of the calls' latency; a ratio above 1 is slower than the first.
        case latency
    }

    enum Kind: String, Codable, Sendable {
        case bare, millrace
    }

    struct Contestant: Sendable {
        let name: String
        let kind: Kind
        /// A program of its own starts cold every time, and says itself what that took.
        var isProgram = false
        let take: @Sendable (_ turn: TurnOrder) async throws -> Turn
    }

    /// Which turn it is.
    struct TurnOrder: Sendable {
        /// One that nothing else of the run has: for the names of streams.
        let number: Int
        let duration: Duration
    }

    let scenario: BenchScenario
    let title: String
    var measure = Measure.rate
    /// The first is what the others are compared with.
    let contestants: [Contestant]
}

extension Contest {
    /// Warms every contestant up, then lets them take their turns, round by round.
    /// - Parameter warmUp: how long a turn before the rounds takes that counts for the tables only; none where it is zero.
    func held(
        rounds: Int,
        turn duration: Duration,
        warmUp: Duration,
        tally: BenchTally,
        showing: (_ contestant: Contestant, _ round: Int) -> Void
    ) async throws -> ContestResult {
        var turns: [[Turn]] = contestants.map { _ in [] }
        for round in 0...rounds {
            for (index, contestant) in contestants.enumerated() {
                let isWarmUp = round == 0
                if isWarmUp, warmUp == .zero || contestant.isProgram { continue }
                showing(contestant, round)
                let order = TurnOrder(number: tally.nextNumber(), duration: isWarmUp ? warmUp : duration)
                let turn = try await contestant.take(order)
                tally.add(turn)
                if !isWarmUp { turns[index].append(turn) }
            }
        }
        return ContestResult(self, turns: turns)
    }
}

/// What came of a contest.
struct ContestResult: Codable, Sendable {
    struct Ratio: Codable, Sendable, Equatable {
        let median: Double
        let lowest: Double
        let highest: Double
    }

    struct Round: Codable, Sendable {
        let events: Int
        let seconds: Double
        let rate: Double
        let medianMicroseconds: Double?
    }

    struct Entry: Codable, Sendable {
        let name: String
        let kind: Contest.Kind
        /// The median of the rounds' rates, events a second.
        let rate: Double
        /// To the first entry, of each round; nil for the first itself.
        let ratio: Ratio?
        /// Of all rounds' calls together.
        let latency: LatencySummary?
        let figures: [String: Double]
        let rounds: [Round]
    }

    let scenario: String
    let title: String
    let measure: Contest.Measure
    let entries: [Entry]
}

extension ContestResult {
    /// - Parameter turns: of each contestant, one a round.
    init(_ contest: Contest, turns: [[Turn]]) {
        scenario = contest.scenario.rawValue
        title = contest.title
        measure = contest.measure
        let first = turns[0].map { contest.measure.value(of: $0) }
        entries = zip(contest.contestants, turns).enumerated().map { index, pair in
            let (contestant, turns) = pair
            var latencies = Latencies()
            var figures: [String: [Double]] = [:]
            for turn in turns {
                latencies.add(turn.latencies)
                for (name, value) in turn.figures { figures[name, default: []].append(value) }
            }
            let ratios = zip(turns, first).compactMap { turn, base in
                base > 0 ? contest.measure.value(of: turn) / base : nil
            }
            return Entry(
                name: contestant.name,
                kind: contestant.kind,
                rate: turns.map(\.rate).median ?? 0,
                ratio: index == 0 ? nil : Ratio(ratios),
                latency: latencies.summary,
                figures: figures.compactMapValues(\.median),
                rounds: turns.map(Round.init)
            )
        }
    }
}

extension ContestResult.Ratio {
    /// nil where there is nothing to compare.
    init?(_ ratios: [Double]) {
        guard let median = ratios.median, let lowest = ratios.min(), let highest = ratios.max() else { return nil }
        self.init(median: median, lowest: lowest, highest: highest)
    }
}

extension ContestResult.Round {
    fileprivate init(_ turn: Turn) {
        events = turn.events
        seconds = turn.seconds
        rate = turn.rate
        medianMicroseconds = turn.latencies.isEmpty ? nil : turn.latencies.median.microseconds
    }
}

extension Contest.Measure {
    fileprivate func value(of turn: Turn) -> Double {
        switch self {
        case .rate: turn.rate
        case .latency: turn.latencies.isEmpty ? 0 : turn.latencies.median.microseconds
        }
    }
}

extension Array where Element == Double {
    /// nil where it is empty.
    var median: Double? {
        guard !isEmpty else { return nil }
        let sorted = sorted()
        let middle = count / 2
        return count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}
