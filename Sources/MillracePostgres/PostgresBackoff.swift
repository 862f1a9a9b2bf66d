/// Waits that double up to a limit, each shortened by a random part so that many clients do not come back at once.
public struct PostgresBackoff: Sendable, Hashable {
    /// The longest first wait.
    public var initial: Duration
    /// No wait is longer than this.
    public var maximum: Duration
    /// What each wait is multiplied by to get the next one.
    public var multiplier: Double
    /// The share of each wait, 0 to 1, that is drawn at random.
    public var jitter: Double

    public init(
        initial: Duration = .milliseconds(50),
        maximum: Duration = .seconds(5),
        multiplier: Double = 2,
        jitter: Double = 0.5
    ) {
        precondition(initial >= .zero && maximum >= initial, "a backoff needs 0 <= initial <= maximum")
        precondition(multiplier >= 1 && (0...1).contains(jitter), "a backoff needs multiplier >= 1 and jitter in 0...1")
        self.initial = initial
        self.maximum = maximum
        self.multiplier = multiplier
        self.jitter = jitter
    }

    /// How long to wait after the given failure, counted from 1.
    public func delay(afterFailure failure: Int) -> Duration {
        delay(afterFailure: failure, random: Double.random(in: 0..<1))
    }

    /// `random` in 0..<1 decides how much of the jitter is taken off.
    func delay(afterFailure failure: Int, random: Double) -> Duration {
        var wait = initial
        var count = 1
        while count < failure, wait < maximum {
            wait = min(wait * multiplier, maximum)
            count += 1
        }
        return wait * (1 - jitter * random)
    }
}
