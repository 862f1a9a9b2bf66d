public import MillracePostgres

/// How often a failed event is handled, after which waits, by the kind of its error; what it exceeds is parked.
///
///     HandlerRetryPolicy(attempts: 8)
///         .handling(CardDeclined.self, attempts: 1)
///         .handling(sqlState: .uniqueViolation, attempts: 2)
public struct HandlerRetryPolicy: Sendable {
    /// How an error of some kind is treated.
    struct Rule: Sendable {
        let attempts: Int
        let backoff: PostgresBackoff
        let applies: @Sendable (any Error) -> Bool
    }

    /// How often an event is handled at the most, the first time included.
    public var attempts: Int
    /// The waits in between: they double, with jitter.
    public var backoff: PostgresBackoff
    private var rules: [Rule] = []

    public init(
        attempts: Int = 10,
        backoff: PostgresBackoff = PostgresBackoff(initial: .milliseconds(200), maximum: .seconds(300))
    ) {
        precondition(attempts >= 1, "an event is handled at least once")
        self.attempts = attempts
        self.backoff = backoff
    }

    /// A failing event is parked at once.
    public static let never = HandlerRetryPolicy(attempts: 1)

    /// The same policy, with other limits for errors of a type. The first rule that applies counts.
    public func handling<Failure: Error>(
        _ type: Failure.Type,
        attempts: Int,
        backoff: PostgresBackoff? = nil,
        where condition: @escaping @Sendable (Failure) -> Bool = { _ in true }
    ) -> HandlerRetryPolicy {
        handling(attempts, backoff) { error in (error as? Failure).map(condition) ?? false }
    }

    /// The same policy, with other limits for what PostgreSQL refuses with a code.
    public func handling(
        sqlState: PostgresSQLState,
        attempts: Int,
        backoff: PostgresBackoff? = nil
    ) -> HandlerRetryPolicy {
        handling(attempts, backoff) { error in
            switch error {
            case let error as PostgresError: error.sqlState == sqlState
            case EventStoreError.postgres(let error): error.sqlState == sqlState
            default: false
            }
        }
    }

    private func handling(
        _ attempts: Int,
        _ backoff: PostgresBackoff?,
        _ applies: @escaping @Sendable (any Error) -> Bool
    ) -> HandlerRetryPolicy {
        precondition(attempts >= 1, "an event is handled at least once")
        var policy = self
        policy.rules.append(Rule(attempts: attempts, backoff: backoff ?? self.backoff, applies: applies))
        return policy
    }

    /// The wait before an event is handled again; nil: it is parked.
    /// - Parameter attempt: the one that failed, counted from 1.
    func wait(afterAttempt attempt: Int, _ failure: HandlerFailure) -> Duration? {
        guard case .retry(let wanted) = failure.consequence else { return nil }
        let rule = failure.error.flatMap { error in rules.first { $0.applies(error) } }
        guard attempt < rule?.attempts ?? attempts else { return nil }
        return wanted.map { max($0, .zero) } ?? (rule?.backoff ?? backoff).delay(afterFailure: attempt)
    }
}
