import Logging
import MillracePostgres
import Synchronization

/// Rings `event_channel` after a commit, in a transaction of its own that writes nothing.
///
/// A NOTIFY inside the appending transaction would serialise all commits behind one lock. Rings are coalesced:
/// one is in flight, and at most one more waits behind it with the newest position. A ring that fails is no loss,
/// because the table is the truth and everyone who waits also polls.
final class Doorbell: Sendable {
    /// One ring uses up one transaction id, so there are at most a thousand a second.
    static let shortestInterval = Duration.milliseconds(1)

    /// On a server that is busy, rings are slow, and would take from the appends what they need themselves: so they take
    /// a tenth of the time at most, as long as that delays nobody by more than this.
    static let longestInterval = Duration.milliseconds(10)
    static let timeShare = 10

    /// A ring that takes longer has failed: the server hangs, or the host is gone.
    static let ringTimeout = Duration.seconds(5)

    fileprivate typealias Flusher = CheckedContinuation<Void, Never>
    fileprivate typealias Instant = ContinuousClock.Instant

    fileprivate struct State {
        enum Phase {
            case idle
            /// The last ring is too short a time ago.
            case resting
            case ringing(since: Instant)
        }

        var phase = Phase.idle
        /// When the next ring may be sent.
        var notBefore = Instant.now
        /// What is to be rung next.
        var next: Position?
        /// Those who wait for the ring that is on its way, and those who wait for the one behind it.
        var current: [Flusher] = []
        var later: [Flusher] = []
    }

    fileprivate enum Step {
        case ring(Position)
        case rest(Duration)
        case nothing
    }

    private let client: PostgresClient
    private let logger: Logger
    private let state = Mutex(State())

    init(client: PostgresClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Returns at once; the ring is on its way.
    func ring(_ position: Position) {
        let step = state.withLock { state in
            state.next = max(state.next ?? position, position)
            return state.begin(.now)
        }
        perform(step)
    }

    /// Returns when every ring that was asked for by now has been sent, or has failed.
    func flush() async {
        await withCheckedContinuation { flusher in
            let isQuiet = state.withLock { state -> Bool in
                if state.next != nil {
                    state.later.append(flusher)
                } else if case .ringing = state.phase {
                    state.current.append(flusher)
                } else {
                    return true
                }
                return false
            }
            if isQuiet { flusher.resume() }
        }
    }

    /// Whether nothing is rung, or to be rung.
    var isQuiet: Bool {
        state.withLock { state in
            if case .ringing = state.phase { false } else { state.next == nil }
        }
    }

    private func perform(_ step: Step) {
        switch step {
        case .nothing: break
        case .rest(let wait):
            client.schedule(after: wait) { [self] in
                perform(state.withLock { $0.rested(.now) })
            }
        case .ring(let position):
            let call = PostgresCall(Statements.ring, [.text(position.description)])
            // Answered on the poll thread: a ring costs no change of threads.
            client.start(call, timeout: Doorbell.ringTimeout) { [self] outcome in
                if case .failure(let error) = outcome {
                    logger.debug("The doorbell did not ring", metadata: ["error": "\(error)"])
                }
                let (flushers, step) = state.withLock { state in
                    (state.rang(.now), state.begin(.now))
                }
                perform(step)
                for flusher in flushers { flusher.resume() }
            }
        }
    }
}

extension Doorbell.State {
    /// Sends what is to be rung, where nothing is under way; what is under way looks again when it ends.
    fileprivate mutating func begin(_ now: ContinuousClock.Instant) -> Doorbell.Step {
        guard case .idle = phase, let position = next else { return .nothing }
        guard now >= notBefore else {
            phase = .resting
            return .rest(now.duration(to: notBefore))
        }
        phase = .ringing(since: now)
        next = nil
        current += later
        later = []
        return .ring(position)
    }

    fileprivate mutating func rested(_ now: ContinuousClock.Instant) -> Doorbell.Step {
        phase = .idle
        return begin(now)
    }

    /// - Returns: those who waited for it.
    fileprivate mutating func rang(_ now: ContinuousClock.Instant) -> [CheckedContinuation<Void, Never>] {
        guard case .ringing(let start) = phase else { preconditionFailure("a ring ended that was not sent") }
        let share = start.duration(to: now) * Doorbell.timeShare
        notBefore = start + min(max(share, Doorbell.shortestInterval), Doorbell.longestInterval)
        phase = .idle
        defer { current = [] }
        return current
    }
}
