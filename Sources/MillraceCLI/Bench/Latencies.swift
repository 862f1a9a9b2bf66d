import Histogram

/// How long something took, many times, with three significant digits up to two minutes.
struct Latencies: Sendable {
    static let longest = Duration.seconds(120)

    private var histogram: Histogram<UInt32>

    init() {
        histogram = Histogram(
            lowestDiscernibleValue: 64,
            highestTrackableValue: UInt64(Latencies.longest.nanoseconds),
            numberOfSignificantValueDigits: .three
        )
    }

    init(nanoseconds: [UInt64]) {
        self.init()
        for value in nanoseconds { record(nanoseconds: value) }
    }

    /// What is longer than ``longest`` counts as that long.
    mutating func record(nanoseconds: UInt64) {
        histogram.record(min(nanoseconds, UInt64(Latencies.longest.nanoseconds)))
    }

    mutating func record(_ duration: Duration) {
        record(nanoseconds: UInt64(max(0, duration.nanoseconds)))
    }

    mutating func add(_ other: Latencies) {
        histogram.add(other.histogram)
    }

    var isEmpty: Bool { histogram.totalCount == 0 }
    var median: Duration { at(50) }

    func at(_ percentile: Double) -> Duration { .nanoseconds(Int64(histogram.valueAtPercentile(percentile))) }

    /// nil where nothing was recorded.
    var summary: LatencySummary? {
        guard !isEmpty else { return nil }
        let total = histogram.totalCount
        // A percentile that not even one of the values lies beyond says nothing but the maximum; the shares are not exact in binary.
        let known = LatencySummary.percentiles.filter { Double(total) * (100 - $0) / 100 > 0.999 || $0 == 100 }
        return LatencySummary(
            count: Int(total),
            mean: histogram.mean / 1000,
            p50: at(50).microseconds,
            p90: at(90).microseconds,
            p99: at(99).microseconds,
            p999: at(99.9).microseconds,
            max: at(100).microseconds,
            curve: known.map { LatencySummary.Point(percentile: $0, microseconds: at($0).microseconds) }
        )
    }
}

/// What is told of latencies, in microseconds.
struct LatencySummary: Codable, Sendable, Equatable {
    struct Point: Codable, Sendable, Equatable {
        let percentile: Double
        let microseconds: Double
    }

    static let percentiles: [Double] = [
        0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.975, 99.99, 99.995, 99.999, 100,
    ]

    let count: Int
    let mean: Double
    let p50: Double
    let p90: Double
    let p99: Double
    let p999: Double
    let max: Double
    /// The distribution, for a picture.
    let curve: [Point]
}

extension Duration {
    var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
    var microseconds: Double { Double(nanoseconds) / 1000 }
}
