import MillracePostgres
import Synchronization

/// Watches over the event that a transaction of a lane has in hand, for the one that does not return.
///
/// Two steps: what takes too long is cancelled, which ends whatever waits for PostgreSQL or heeds its task's cancellation; what does not
/// return even then is given up. Then the connection is closed, so that nothing it still does can be committed.
final class LaneWatch: Sendable {
    /// What a cancelled handler has left to return.
    static let grace = Duration.seconds(1)

    private struct State {
        var event: RecordedEvent?
        var connection: PostgresConnection?
        var since = ContinuousClock.now
        var isInForce = true
        var condemned: RecordedEvent?
    }

    private let state = Mutex(State())

    /// False once the transaction was given up: it must not settle anything.
    var isInForce: Bool { state.withLock { $0.isInForce } }

    /// The event in hand and how long it has been.
    var inHand: (event: RecordedEvent, time: Duration)? {
        state.withLock { state in state.event.map { ($0, ContinuousClock.now - state.since) } }
    }

    func over(
        _ event: RecordedEvent,
        on connection: PostgresConnection,
        _ body: () async -> HandlerFailure?
    ) async -> HandlerFailure? {
        state.withLock { state in
            state.event = event
            state.connection = connection
            state.since = .now
        }
        let failure = await body()
        state.withLock { state in
            state.event = nil
            state.connection = nil
        }
        return failure
    }

    /// The event whose time is over, if there is one.
    var condemned: RecordedEvent? { state.withLock { $0.condemned } }

    func condemn(_ event: RecordedEvent) { state.withLock { $0.condemned = event } }

    /// - Returns: the connection to close.
    func giveUp() -> PostgresConnection? {
        state.withLock { state in
            state.isInForce = false
            return state.connection
        }
    }
}
