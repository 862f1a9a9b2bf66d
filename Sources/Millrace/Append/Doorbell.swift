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

    private enum State {
        case idle
        case ringing(next: Position?, flushers: [CheckedContinuation<Void, Never>])
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
                state = .ringing(next: nil, flushers: [])
                return true
            case .ringing(let next, let flushers):
                state = .ringing(next: max(next ?? position, position), flushers: flushers)
                return false
            }
        }
        if starts { Task { await send(position) } }
    }

    /// Returns when no ring is on its way.
    func flush() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state -> Bool in
                switch state {
                case .idle: return true
                case .ringing(let next, let flushers):
                    state = .ringing(next: next, flushers: flushers + [continuation])
                    return false
                }
            }
            if isIdle { continuation.resume() }
        }
    }

    private func send(_ first: Position) async {
        var position: Position? = first
        while let ringing = position {
            let start = ContinuousClock.now
            do {
                try await client.query(Statements.ring, [.text(ringing.description)])
            } catch {
                logger.debug("The doorbell did not ring", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(until: start + Doorbell.shortestInterval, clock: .continuous)
            position = takeNext()
        }
    }

    private func takeNext() -> Position? {
        let (next, flushers) = state.withLock { state -> (Position?, [CheckedContinuation<Void, Never>]) in
            switch state {
            case .idle:
                preconditionFailure("a doorbell that rings is not idle")
            case .ringing(let next?, let flushers):
                state = .ringing(next: nil, flushers: flushers)
                return (next, [])
            case .ringing(nil, let flushers):
                state = .idle
                return (nil, flushers)
            }
        }
        for flusher in flushers { flusher.resume() }
        return next
    }
}
