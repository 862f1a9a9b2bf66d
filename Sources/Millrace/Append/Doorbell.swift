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

    /// A ring that takes longer has failed: the server hangs, or the host is gone.
    static let ringTimeout = Duration.seconds(5)

    private typealias Flusher = CheckedContinuation<Void, Never>

    private enum State {
        case idle
        /// `current` wait for the ring that is on its way, `later` for the one behind it.
        case ringing(next: Position?, current: [Flusher], later: [Flusher])
    }

    private let client: PostgresClient
    private let logger: Logger
    private let state = Mutex(State.idle)

    init(client: PostgresClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Returns at once; the ring is on its way.
    func ring(_ position: Position) {
        let starts = state.withLock { state -> Bool in
            switch state {
            case .idle:
                state = .ringing(next: nil, current: [], later: [])
                return true
            case .ringing(let next, let current, let later):
                state = .ringing(next: max(next ?? position, position), current: current, later: later)
                return false
            }
        }
        if starts { Task { await send(position) } }
    }

    /// Returns when every ring that was asked for by now has been sent, or has failed.
    func flush() async {
        await withCheckedContinuation { flusher in
            let isIdle = state.withLock { state -> Bool in
                switch state {
                case .idle:
                    return true
                case .ringing(nil, let current, let later):
                    state = .ringing(next: nil, current: current + [flusher], later: later)
                    return false
                case .ringing(let next?, let current, let later):
                    state = .ringing(next: next, current: current, later: later + [flusher])
                    return false
                }
            }
            if isIdle { flusher.resume() }
        }
    }

    private func send(_ first: Position) async {
        var position: Position? = first
        while let ringing = position {
            let start = ContinuousClock.now
            do {
                try await client.query(Statements.ring, [.text(ringing.description)], timeout: Doorbell.ringTimeout)
            } catch {
                logger.debug("The doorbell did not ring", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(until: start + Doorbell.shortestInterval, clock: .continuous)
            position = takeNext()
        }
    }

    private func takeNext() -> Position? {
        let (next, flushers) = state.withLock { state -> (Position?, [Flusher]) in
            switch state {
            case .idle:
                preconditionFailure("a doorbell that rings is not idle")
            case .ringing(let next?, let current, let later):
                state = .ringing(next: nil, current: later, later: [])
                return (next, current)
            case .ringing(nil, let current, let later):
                state = .idle
                return (nil, current + later)
            }
        }
        for flusher in flushers { flusher.resume() }
        return next
    }
}
