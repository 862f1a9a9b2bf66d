/// How a transaction sees and changes the database.
public struct PostgresTransactionMode: Sendable, Hashable {
    public enum Isolation: Sendable, Hashable {
        case readCommitted, repeatableRead, serializable
    }

    public var isolation: Isolation
    public var readOnly: Bool
    /// A serializable, read-only transaction that waits for a snapshot which cannot fail.
    public var deferrable: Bool

    public init(isolation: Isolation = .readCommitted, readOnly: Bool = false, deferrable: Bool = false) {
        self.isolation = isolation
        self.readOnly = readOnly
        self.deferrable = deferrable
    }

    /// Every part is named, so that the session's defaults cannot change what the caller asked for.
    var begin: String {
        let level =
            switch isolation {
            case .readCommitted: "READ COMMITTED"
            case .repeatableRead: "REPEATABLE READ"
            case .serializable: "SERIALIZABLE"
            }
        let access = readOnly ? "READ ONLY" : "READ WRITE"
        return "BEGIN ISOLATION LEVEL \(level) \(access)\(deferrable ? " DEFERRABLE" : "")"
    }
}

/// Which failures of a transaction start it again, how often, and after which waits.
///
/// An interrupted COMMIT is never retried: it may have taken effect.
public struct PostgresRetryPolicy: Sendable, Hashable {
    /// How often the body runs at most.
    public var attempts: Int
    public var sqlStates: Set<PostgresSQLState>
    public var backoff: PostgresBackoff

    public init(attempts: Int, sqlStates: Set<PostgresSQLState>, backoff: PostgresBackoff) {
        precondition(attempts >= 1, "a transaction runs at least once")
        self.attempts = attempts
        self.sqlStates = sqlStates
        self.backoff = backoff
    }

    /// The body runs once.
    public static let none = PostgresRetryPolicy(attempts: 1, sqlStates: [], backoff: .init())

    /// Serialization failures and deadlocks (40001, 40P01) run the body again.
    public static func serializationFailures(
        attempts: Int = 5,
        backoff: PostgresBackoff = .init(initial: .milliseconds(5), maximum: .milliseconds(500))
    ) -> PostgresRetryPolicy {
        PostgresRetryPolicy(
            attempts: attempts,
            sqlStates: [.serializationFailure, .deadlockDetected],
            backoff: backoff
        )
    }

    /// The wait before the next attempt, or nil where the failure is final.
    /// - Parameter failure: counted from 1.
    public func wait(afterFailure failure: Int, _ error: any Error) -> Duration? {
        guard failure < attempts, let state = (error as? PostgresError)?.sqlState, sqlStates.contains(state),
            case .server? = error as? PostgresError
        else { return nil }
        return backoff.delay(afterFailure: failure)
    }
}
