public import MillracePostgres

/// How often a command is decided anew where others were faster, and how.
///
/// The first attempts lock nothing: load, decide, append at the version that was loaded. Where that has failed several times, so many
/// want the stream that one would lose for ever; from then on an attempt locks the streams first, in one transaction. Those
/// who lock wait for each other in a line, and nobody comes between, so that each comes through.
public struct CommandRetry: Sendable, Hashable {
    /// How often a command is decided at most; 1 and more.
    public var attempts: Int = 10
    /// How many of the attempts lock nothing.
    public var attemptsWithoutLocks: Int = 2
    /// The waits between the attempts.
    public var backoff: PostgresBackoff = .init(initial: .milliseconds(2), maximum: .milliseconds(100))
    /// How long an attempt waits for a lock at most, such as one that somebody's transaction holds; the attempt has failed then.
    public var lockWait: Duration = .seconds(5)

    public init() {}

    /// A conflict is thrown at once.
    public static let none: CommandRetry = {
        var retry = CommandRetry()
        retry.attempts = 1
        return retry
    }()

    /// Whether an attempt, counted from 1, locks its streams first.
    func locks(in attempt: Int) -> Bool { attempt > attemptsWithoutLocks }
}
