internal import DequeModule

/// Decides who gets which connection, when one is opened, and who is refused.
///
/// It knows connections and callers only by number; the client performs what it decides.
struct PoolStateMachine {
    typealias ConnectionID = UInt64
    typealias WaiterID = UInt64

    struct Limits {
        var connections: Int
        var waiters: Int
    }

    enum Acquisition: Equatable {
        case lease(ConnectionID)
        /// The caller waits for its turn.
        case wait
        case exhausted(waiters: Int)
        case closed
    }

    /// What becomes of a connection that is free.
    enum Placement: Equatable {
        case hand(ConnectionID, to: WaiterID)
        case keep
        case close(ConnectionID)
    }

    private enum Phase { case running, closing }

    let limits: Limits
    let backoff: PostgresBackoff
    private var phase = Phase.running
    /// The one used last is used next, so that those in excess stay unused.
    private var idle: [ConnectionID] = []
    private var leased: Set<ConnectionID> = []
    private var connecting = 0
    private var order: Deque<WaiterID> = []
    /// Those in `order` that still wait.
    private var waiting: Set<WaiterID> = []
    private var failures = 0

    init(limits: Limits, backoff: PostgresBackoff) {
        self.limits = limits
        self.backoff = backoff
    }

    var isClosing: Bool { phase == .closing }
    var isEmpty: Bool { idle.isEmpty && leased.isEmpty && connecting == 0 }
    var statistics: PostgresPoolStatistics {
        PostgresPoolStatistics(
            open: idle.count + leased.count,
            connecting: connecting,
            idle: idle.count,
            leased: leased.count,
            waiting: waiting.count
        )
    }

    mutating func acquire(_ waiter: WaiterID) -> Acquisition {
        guard phase == .running else { return .closed }
        // Nobody overtakes those who wait.
        if waiting.isEmpty, let connection = idle.popLast() {
            leased.insert(connection)
            return .lease(connection)
        }
        guard waiting.count < limits.waiters else { return .exhausted(waiters: waiting.count) }
        waiting.insert(waiter)
        order.append(waiter)
        return .wait
    }

    /// - Returns: whether the caller still waited.
    mutating func leave(_ waiter: WaiterID) -> Bool {
        guard waiting.remove(waiter) != nil else { return false }
        // Those who left are removed when their turn comes; here, when they have become most of the line.
        if order.count > 64, waiting.count < order.count / 2 { order.removeAll { !waiting.contains($0) } }
        return true
    }

    /// How long to wait before one more connection is opened; nil where none is to be opened.
    ///
    /// After a failure there is one attempt at a time.
    mutating func openAnother() -> Duration? {
        guard phase == .running, connecting < waiting.count else { return nil }
        guard idle.count + leased.count + connecting < limits.connections else { return nil }
        if failures > 0 {
            guard connecting == 0 else { return nil }
            connecting += 1
            return backoff.delay(afterFailure: failures)
        }
        connecting += 1
        return .zero
    }

    mutating func opened(_ connection: ConnectionID) -> Placement {
        precondition(connecting > 0, "a connection was opened that nobody asked for")
        connecting -= 1
        failures = 0
        leased.insert(connection)
        return released(connection)
    }

    /// - Returns: the callers for whom no connection is left to come back.
    mutating func openingFailed() -> [WaiterID] {
        precondition(connecting > 0, "an attempt failed that nobody made")
        connecting -= 1
        failures += 1
        guard leased.isEmpty, connecting == 0 else { return [] }
        let failed = Array(order.filter { waiting.contains($0) })
        order = []
        waiting = []
        return failed
    }

    mutating func released(_ connection: ConnectionID) -> Placement {
        // It may have been lost while it was leased.
        guard leased.contains(connection) else { return .keep }
        guard phase == .running else { return .close(connection) }
        while let waiter = order.popFirst() {
            if waiting.remove(waiter) != nil { return .hand(connection, to: waiter) }
        }
        leased.remove(connection)
        idle.append(connection)
        return .keep
    }

    mutating func lost(_ connection: ConnectionID) {
        idle.removeAll { $0 == connection }
        leased.remove(connection)
    }

    /// - Returns: the connections to close now and the callers to refuse.
    mutating func close() -> (idle: [ConnectionID], waiters: [WaiterID]) {
        phase = .closing
        let refused = Array(order.filter { waiting.contains($0) })
        order = []
        waiting = []
        // They stay counted until they are closed.
        let closing = idle
        leased.formUnion(closing)
        idle = []
        return (closing, refused)
    }
}
