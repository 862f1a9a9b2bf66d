internal import DequeModule
public import Logging
internal import Synchronization

/// A bounded pool of connections, opened when they are needed.
public final class PostgresClient: PostgresSession {
    typealias ConnectionID = PoolStateMachine.ConnectionID
    typealias WaiterID = PoolStateMachine.WaiterID

    struct Lease {
        let id: ConnectionID
        let connection: PostgresConnection
    }

    /// A caller that waits for a connection.
    fileprivate enum Waiter {
        case task(CheckedContinuation<Lease, any Error>)
        case callback(@Sendable (Result<Lease, PostgresError>) -> Void)

        func resume(_ outcome: Result<Lease, PostgresError>) {
            switch self {
            case .task(let continuation): continuation.resume(with: outcome.mapError { $0 as any Error })
            case .callback(let callback): callback(outcome)
            }
        }
    }

    /// Where a free connection goes: to a caller that waits, or, where there is none, to its end.
    private struct Placed {
        let lease: Lease
        let waiter: Waiter?
    }

    fileprivate struct Pool: ~Copyable {
        var machine: PoolStateMachine
        var connections: [ConnectionID: PostgresConnection] = [:]
        var waiters: [WaiterID: Waiter] = [:]
        /// When those who wait give up, in the order of their coming; those served meanwhile are dropped from the front.
        var deadlines: Deque<(waiter: WaiterID, deadline: ContinuousClock.Instant)> = []
        /// Whether the one timer for all of them is set.
        var timerIsSet = false
        var opening: [UInt64: Task<Void, Never>] = [:]
        var inboxes: [ObjectIdentifier: NotificationInbox] = [:]
        /// Those who wait for the pool to be empty after it was closed.
        var closers: [CheckedContinuation<Void, Never>] = []
        var lastID: UInt64 = 0

        mutating func nextID() -> UInt64 {
            lastID += 1
            return lastID
        }
    }

    public let configuration: PostgresConfiguration
    let logger: Logger
    let attempts = ConnectAttempts()
    private let pool: Mutex<Pool>

    /// How often a call moves to another connection because the one it got had been closed before it was sent.
    static let maximumReplacements = 3

    /// Connects nothing yet.
    public init(_ configuration: PostgresConfiguration, logger: Logger = Logger(label: "millrace.postgres")) {
        precondition(configuration.maximumConnections > 0, "a client needs at least one connection")
        self.configuration = configuration
        self.logger = logger
        let limits = PoolStateMachine.Limits(
            connections: configuration.maximumConnections,
            waiters: configuration.maximumWaiters
        )
        pool = Mutex(Pool(machine: PoolStateMachine(limits: limits, backoff: configuration.reconnectBackoff)))
    }

    public var statistics: PostgresPoolStatistics {
        pool.withLock { $0.machine.statistics }
    }

    // MARK: Sessions

    /// Runs one statement on a connection of the pool; one round trip, also where it is prepared first.
    /// - Throws: ``PostgresError``.
    @discardableResult
    public func query(
        _ statement: PostgresStatement,
        _ parameters: [PostgresValue],
        timeout: Duration?
    ) async throws -> PostgresRows {
        try await run([PostgresCall(statement, parameters)], timeout: timeout ?? configuration.queryTimeout)[0]
    }

    @discardableResult
    public func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows] {
        try await pipeline(calls, timeout: nil)
    }

    /// As ``PostgresSession/pipeline(_:)``, with a limit of time for all calls together.
    /// - Parameter timeout: nil means ``PostgresConfiguration/queryTimeout``.
    /// - Throws: ``PostgresError``.
    @discardableResult
    public func pipeline(_ calls: [PostgresCall], timeout: Duration?) async throws -> [PostgresRows] {
        if calls.isEmpty { return [] }
        return try await run(calls, timeout: timeout ?? configuration.queryTimeout)
    }

    private func run(_ calls: [PostgresCall], timeout: Duration?) async throws -> [PostgresRows] {
        var replacements = 0
        while true {
            let lease = try await acquire()
            let response: ConnectionRequest.Response
            do throws(RequestFailure) {
                response = try await lease.connection.perform(.batch(calls), timeout: timeout)
            } catch {
                await settle(lease)
                // The server closed it while it was idle, and has not seen the call.
                if !error.sent, case .connectionLost = error.error, replacements < PostgresClient.maximumReplacements {
                    replacements += 1
                    continue
                }
                throw error.error
            }
            if response.isIdle { release(lease) } else { await settle(lease) }
            return response.results
        }
    }

    /// Runs one statement as ``query(_:_:timeout:)`` does, for a caller that is no task and cannot be cancelled.
    ///
    /// Nothing is sent or awaited on the way but the statement: one round trip, and no change of threads except to the poll
    /// thread and back.
    /// - Parameters:
    ///   - timeout: nil means ``PostgresConfiguration/queryTimeout``.
    ///   - completion: called once, on the poll thread, and not before this has returned. It must not block.
    package func start(
        _ call: PostgresCall,
        timeout: Duration? = nil,
        _ completion: @escaping @Sendable (Result<PostgresRows, PostgresError>) -> Void
    ) {
        start(call, timeout ?? configuration.queryTimeout, replacements: 0, completion)
    }

    /// Calls `action` once after a wait, on the poll thread. It must not block.
    package func schedule(after wait: Duration, _ action: @escaping @Sendable () -> Void) {
        let deadline = ContinuousClock.now + wait
        PollLoop.shared.submit { PollLoop.shared.schedule(at: deadline, action) }
    }

    private func start(
        _ call: PostgresCall,
        _ timeout: Duration?,
        replacements: Int,
        _ completion: @escaping @Sendable (Result<PostgresRows, PostgresError>) -> Void
    ) {
        let id = pool.withLock { $0.nextID() }
        let waiter = Waiter.callback { [self] outcome in
            switch outcome {
            case .failure(let error): PollLoop.shared.submit { completion(.failure(error)) }
            case .success(let lease):
                lease.connection.start(.batch([call]), timeout: timeout) { [self] outcome in
                    ended(call, timeout, on: lease, outcome, replacements: replacements, completion)
                }
            }
        }
        acquire(id, waiter, orFail: { false })
    }

    private func ended(
        _ call: PostgresCall,
        _ timeout: Duration?,
        on lease: Lease,
        _ outcome: Result<ConnectionRequest.Response, RequestFailure>,
        replacements: Int,
        _ completion: @escaping @Sendable (Result<PostgresRows, PostgresError>) -> Void
    ) {
        switch outcome {
        case .success(let response):
            if response.isIdle { release(lease) } else { Task { await settle(lease) } }
            completion(.success(response.results[0]))
        case .failure(let failure):
            Task {
                await settle(lease)
                // The server closed it while it was idle, and has not seen the call.
                if !failure.sent, case .connectionLost = failure.error,
                    replacements < PostgresClient.maximumReplacements
                {
                    return start(call, timeout, replacements: replacements + 1, completion)
                }
                PollLoop.shared.submit { completion(.failure(failure.error)) }
            }
        }
    }

    /// Lends a connection to `body` alone. It must not be used after `body` has returned.
    ///
    /// A transaction that `body` leaves open is rolled back; other state of the session, such as SET, stays.
    /// - Throws: ``PostgresError/poolExhausted(waiters:)``, ``PostgresError/acquireTimedOut(_:)``,
    ///   ``PostgresError/cannotConnect(_:)``; what `body` throws.
    public func withConnection<T>(_ body: (PostgresConnection) async throws -> T) async throws -> T {
        let lease = try await acquire()
        do {
            let value = try await body(lease.connection)
            await settle(lease)
            return value
        } catch {
            await settle(lease)
            throw error
        }
    }

    /// As ``PostgresConnection/withTransaction(_:retry:_:)``, on a connection of the pool; another one for each attempt.
    public func withTransaction<T>(
        _ mode: PostgresTransactionMode = .init(),
        retry: PostgresRetryPolicy = .none,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T {
        var failures = 0
        while true {
            do {
                return try await withConnection { try await $0.runTransaction(mode, body) }
            } catch {
                failures += 1
                guard let wait = retry.wait(afterFailure: failures, error) else { throw error }
                try await pause(wait)
            }
        }
    }

    /// As ``PostgresConnection/script(_:)``, on a connection of the pool.
    public func script(_ sql: String) async throws {
        try await withConnection { try await $0.script(sql) }
    }

    /// Listens on channels, from the first iteration on; see ``PostgresNotifications``.
    public func notifications(on channels: [String]) -> PostgresNotifications {
        PostgresNotifications(client: self, channels: channels)
    }

    // MARK: Leasing

    private func acquire() async throws -> Lease {
        let id = pool.withLock { $0.nextID() }
        do {
            return try await withTaskCancellationHandler {
                // A cancellation that came before finds nobody to refuse, so it is looked for under the lock.
                try await withCheckedThrowingContinuation { acquire(id, .task($0), orFail: { Task.isCancelled }) }
            } onCancel: {
                refuse(id, .cancelled)
            }
        }
    }

    private func acquire(_ id: WaiterID, _ waiter: Waiter, orFail isCancelled: () -> Bool) {
        let outcome: Result<Lease, PostgresError>? = pool.withLock { pool in
            if isCancelled() { return .failure(.cancelled) }
            switch pool.machine.acquire(id) {
            case .lease(let connection): return .success(pool.lease(connection))
            case .closed: return .failure(.clientClosed)
            case .exhausted(let waiters): return .failure(.poolExhausted(waiters: waiters))
            case .wait:
                pool.waiters[id] = waiter
                pool.deadlines.append((id, .now + configuration.acquireTimeout))
                return nil
            }
        }
        if let outcome { return waiter.resume(outcome) }
        openMissing()
        if let deadline = pool.withLock({ $0.deadlineToWatch() }) { watch(deadline) }
    }

    /// One timer for all who wait: one each would outlive most of them by far.
    private func watch(_ deadline: ContinuousClock.Instant) {
        PollLoop.shared.submit { [weak self] in
            PollLoop.shared.schedule(at: deadline) { self?.refuseOverdue() }
        }
    }

    private func refuseOverdue() {
        let now = ContinuousClock.now
        let (overdue, next) = pool.withLock { pool in
            pool.timerIsSet = false
            return (pool.takeOverdue(now), pool.deadlineToWatch())
        }
        for waiter in overdue { refuse(waiter, .acquireTimedOut(configuration.acquireTimeout)) }
        if let next { watch(next) }
    }

    private func refuse(_ id: WaiterID, _ error: PostgresError) {
        let waiter = pool.withLock { pool in
            pool.machine.leave(id) ? pool.waiters.removeValue(forKey: id) : nil
        }
        waiter?.resume(.failure(error))
    }

    private func release(_ lease: Lease) {
        place { $0.released(lease.id) }
    }

    private func settle(_ lease: Lease) async {
        // A connection that cannot be settled is closed, and leaves the pool when that is done.
        if await lease.connection.settle() { release(lease) }
    }

    private func place(_ decide: (inout PoolStateMachine) -> PoolStateMachine.Placement) {
        let effect: Placed? = pool.withLock { pool in
            switch decide(&pool.machine) {
            case .keep: nil
            case .hand(let id, let waiter):
                Placed(lease: pool.lease(id), waiter: pool.waiters.removeValue(forKey: waiter))
            case .close(let id): Placed(lease: pool.lease(id), waiter: nil)
            }
        }
        guard let effect else { return }
        if let waiter = effect.waiter { return waiter.resume(.success(effect.lease)) }
        effect.lease.connection.closeSoon(.clientClosed)
    }

    // MARK: Opening

    private func openMissing() {
        while pool.withLock({ $0.open(with: self) }) {}
    }

    fileprivate func open(_ id: ConnectionID, after wait: Duration) async {
        do {
            if wait > .zero { try await pause(wait) }
            let connection = try await PostgresConnection.connect(configuration, logger, among: attempts)
            pool.withLock { pool in
                pool.opening[id] = nil
                pool.connections[id] = connection
            }
            place { $0.opened(id) }
            // Only now: whoever hears of the loss must find the connection in its place.
            connection.onClose { [weak self] in self?.lost(id) }
        } catch {
            let failure = (error as? PostgresError) ?? .cannotConnect(PostgresConnectFailure(message: "\(error)"))
            failedToOpen(id, failure)
        }
        openMissing()
    }

    private func failedToOpen(_ id: ConnectionID, _ error: PostgresError) {
        var refused: [Waiter] = []
        var closers: [CheckedContinuation<Void, Never>] = []
        pool.withLock { pool in
            pool.opening[id] = nil
            for waiter in pool.machine.openingFailed() {
                if let waiter = pool.waiters.removeValue(forKey: waiter) { refused.append(waiter) }
            }
            closers = pool.closersIfEmpty()
        }
        for waiter in refused { waiter.resume(.failure(error)) }
        for closer in closers { closer.resume() }
    }

    private func lost(_ id: ConnectionID) {
        let closers = pool.withLock { pool in
            pool.machine.lost(id)
            pool.connections[id] = nil
            return pool.closersIfEmpty()
        }
        for closer in closers { closer.resume() }
        openMissing()
    }

    // MARK: Closing

    /// Refuses new calls and those that wait, lets calls on leased connections end within
    /// ``PostgresConfiguration/closeTimeout``, and closes all connections. Returns when that is done, and when no thread
    /// is opening a connection any more, for which it waits ``PostgresConfiguration/connectTimeout`` at most: a process
    /// that ends while OpenSSL is at work would crash.
    public func close() async {
        let (closing, refused, opening, inboxes) = pool.withLock { pool in
            let (idle, waiters) = pool.machine.close()
            return (
                idle.compactMap { pool.connections[$0] }, waiters.compactMap { pool.waiters.removeValue(forKey: $0) },
                Array(pool.opening.values), Array(pool.inboxes.values)
            )
        }
        for waiter in refused { waiter.resume(.failure(.clientClosed)) }
        for task in opening { task.cancel() }
        for inbox in inboxes { inbox.finish() }
        for connection in closing { connection.closeSoon(.clientClosed) }
        PollLoop.shared.submit { [self] in
            PollLoop.shared.schedule(at: .now + configuration.closeTimeout) { [weak self] in self?.closeLeased() }
        }
        await withCheckedContinuation { continuation in
            let isEmpty = pool.withLock { pool in
                if pool.machine.isEmpty { return true }
                pool.closers.append(continuation)
                return false
            }
            if isEmpty { continuation.resume() }
        }
        await attempts.wait(atMost: configuration.connectTimeout)
    }

    private func closeLeased() {
        for connection in pool.withLock({ Array($0.connections.values) }) { connection.closeSoon(.clientClosed) }
    }

    // MARK: Notifications

    func register(_ inbox: NotificationInbox) {
        let isClosed = pool.withLock { pool in
            pool.inboxes[ObjectIdentifier(inbox)] = inbox
            return pool.machine.isClosing
        }
        if isClosed { inbox.finish() }
    }

    func unregister(_ inbox: NotificationInbox) {
        pool.withLock { $0.inboxes[ObjectIdentifier(inbox)] = nil }
    }
}

extension PostgresClient.Pool {
    fileprivate func lease(_ id: PostgresClient.ConnectionID) -> PostgresClient.Lease {
        guard let connection = connections[id] else { preconditionFailure("the pool lost a connection it counts") }
        return PostgresClient.Lease(id: id, connection: connection)
    }

    fileprivate mutating func open(with client: PostgresClient) -> Bool {
        guard let wait = machine.openAnother() else { return false }
        let id = nextID()
        opening[id] = Task { await client.open(id, after: wait) }
        return true
    }

    fileprivate mutating func takeOverdue(_ now: ContinuousClock.Instant) -> [PostgresClient.WaiterID] {
        var overdue: [PostgresClient.WaiterID] = []
        while let first = deadlines.first, first.deadline <= now || waiters[first.waiter] == nil {
            deadlines.removeFirst()
            if waiters[first.waiter] != nil { overdue.append(first.waiter) }
        }
        return overdue
    }

    /// The next deadline, where somebody waits and no timer is set; the timer counts as set from then on.
    fileprivate mutating func deadlineToWatch() -> ContinuousClock.Instant? {
        while let first = deadlines.first, waiters[first.waiter] == nil { deadlines.removeFirst() }
        guard !timerIsSet, let first = deadlines.first else { return nil }
        timerIsSet = true
        return first.deadline
    }

    fileprivate mutating func closersIfEmpty() -> [CheckedContinuation<Void, Never>] {
        guard machine.isClosing, machine.isEmpty else { return [] }
        defer { closers = [] }
        return closers
    }
}

extension PostgresConnection {
    nonisolated func closeSoon(_ error: PostgresError) {
        PollLoop.shared.submit { [self] in
            assumeIsolated { $0.giveUp(error) }
        }
    }
}

/// A client for the time of `body`, closed afterwards whatever its end.
/// - Throws: what `body` throws.
public func withPostgresClient<Value>(
    _ configuration: PostgresConfiguration,
    logger: Logger = Logger(label: "millrace.postgres"),
    _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    let client = PostgresClient(configuration, logger: logger)
    do {
        let value = try await body(client)
        await client.close()
        return value
    } catch {
        await client.close()
        throw error
    }
}
