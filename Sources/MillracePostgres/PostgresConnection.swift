internal import CLibPQ
public import Logging
internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// One connection to a server.
///
/// Several tasks may have calls in flight on it at once: they are pipelined, and answered in the order of their sending.
/// The price is shared too: a call that is cancelled, or takes too long, costs the connection, and everything else that
/// was in flight on it fails with ``PostgresError/connectionLost(_:)``.
///
/// The actor runs on the process's poll thread; callers' closures run in their callers' isolation, never on it.
public actor PostgresConnection: PostgresSession {
    /// The server process that serves it, as in `pg_stat_activity.pid`.
    public nonisolated let backendProcessID: Int32
    /// Such as 180006 for 18.6.
    public nonisolated let serverVersion: Int
    public nonisolated let configuration: PostgresConfiguration
    nonisolated let logger: Logger
    /// Whether ``withTransaction(_:retry:_:)`` has it.
    nonisolated let transactionIsOpen = Atomic<Bool>(false)
    /// Numbers the names of savepoints.
    nonisolated let savepoints = Atomic<UInt64>(0)

    var handle: PGConnection?
    let notices: NoticeBox
    var machine: ConnectionStateMachine
    var cache: PreparedStatementCache
    var requests: [UInt64: ConnectionRequest] = [:]
    var lastID: UInt64 = 0
    var source: PollSource?
    var scratch = WireBuffer()
    var arguments = ArgumentBuffers()
    /// Sent together with the next statement, whatever that is.
    var pendingBegin: String?
    /// A BEGIN that failed: nothing may run as if it were in that transaction.
    var refusal: PostgresError?
    var copy: CopyState?
    var inbox: NotificationInbox?
    /// Why it was given up; nil while it is usable.
    var ending: PostgresError?
    private var closeObservers: [@Sendable () -> Void] = []

    nonisolated public var unownedExecutor: UnownedSerialExecutor {
        PollLoop.shared.asUnownedSerialExecutor()
    }

    /// Opens a connection; some round trips to authenticate, and one more for ``PostgresConfiguration/sessionSettings``.
    ///
    /// It is closed by ``close()``, or when nothing refers to it any more.
    /// - Throws: ``PostgresError/cannotConnect(_:)``; ``PostgresError/server(_:)`` for a setting that the server refuses.
    public static func connect(
        _ configuration: PostgresConfiguration,
        logger: Logger = Logger(label: "millrace.postgres")
    ) async throws -> PostgresConnection {
        try await connect(configuration, logger, among: ConnectAttempts())
    }

    static func connect(
        _ configuration: PostgresConfiguration,
        _ logger: Logger,
        among attempts: ConnectAttempts
    ) async throws -> PostgresConnection {
        let handle = try await ConnectAttempt(configuration, among: attempts).open()
        let connection = PostgresConnection(handle, configuration, logger)
        PollLoop.shared.submit { connection.assumeIsolated { $0.start() } }
        do {
            try await connection.applySettings()
        } catch {
            await connection.close()
            throw error
        }
        logger.debug(
            "connected to PostgreSQL",
            metadata: ["pid": "\(connection.backendProcessID)", "version": "\(connection.serverVersion)"]
        )
        return connection
    }

    private init(_ handle: PGConnection, _ configuration: PostgresConfiguration, _ logger: Logger) {
        self.handle = handle
        self.configuration = configuration
        self.logger = logger
        backendProcessID = PQbackendPID(handle.pointer)
        serverVersion = Int(PQserverVersion(handle.pointer))
        notices = NoticeBox()
        machine = ConnectionStateMachine(
            limits: .init(
                depth: max(1, configuration.maximumPipelineDepth),
                bytes: configuration.maximumPipelineBytes,
                queued: configuration.maximumQueuedCalls
            )
        )
        cache = PreparedStatementCache(
            limit: configuration.preparedStatements ? configuration.maximumPreparedStatements : 0
        )
    }

    deinit {
        guard let handle else { return }
        // The socket must leave the poll loop before it is closed, and libpq may call the notice box while it closes.
        PollLoop.shared.submit { [source, notices] in
            if let source { PollLoop.shared.remove(source) }
            withExtendedLifetime(notices) { PQfinish(handle.pointer) }
        }
    }

    private nonisolated func applySettings() async throws {
        let settings = configuration.sessionSettings.sorted { $0.key < $1.key }
        guard !settings.isEmpty else { return }
        try await pipelineUntil(
            settings.map { PostgresCall(PostgresConnection.setSetting, [.text($0.key), .text($0.value)]) },
            timeout: configuration.connectTimeout
        )
    }

    private static let resetAll = PostgresStatement("RESET ALL", prepared: false)

    /// Puts the session's settings back to what they were after connecting, ahead of whatever the caller sends next: for whoever has run
    /// somebody else's code in it.
    package nonisolated func resetSettings() {
        let settings = configuration.sessionSettings.sorted { $0.key < $1.key }
        post(
            [PostgresCall(PostgresConnection.resetAll)]
                + settings.map { PostgresCall(PostgresConnection.setSetting, [.text($0.key), .text($0.value)]) }
        )
    }

    private static let setSetting = PostgresStatement("SELECT pg_catalog.set_config($1, $2, false)", prepared: false)

    @discardableResult
    private nonisolated func pipelineUntil(_ calls: [PostgresCall], timeout: Duration?) async throws -> [PostgresRows] {
        try await response(to: .batch(calls), timeout: timeout).results
    }

    // MARK: Statements

    /// Runs one statement; one round trip, also where it is prepared first.
    /// - Throws: ``PostgresError``.
    @discardableResult
    public nonisolated func query(
        _ statement: PostgresStatement,
        _ parameters: [PostgresValue],
        timeout: Duration?
    ) async throws -> PostgresRows {
        try await response(
            to: .batch([PostgresCall(statement, parameters)]),
            timeout: timeout ?? configuration.queryTimeout
        ).results[0]
    }

    @discardableResult
    public nonisolated func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows] {
        if calls.isEmpty { return [] }
        return try await pipelineUntil(calls, timeout: configuration.queryTimeout)
    }

    /// Runs several statements from one text, without parameters; it has the connection alone meanwhile.
    ///
    /// Outside of a transaction they are one implicit transaction, unless they say otherwise. Rows are dropped.
    /// - Throws: ``PostgresError``; the first statement's error that the server reports.
    public nonisolated func script(_ sql: String) async throws {
        guard !sql.utf8.contains(0) else { throw PostgresError.misuse("SQL text cannot contain a NUL character") }
        _ = try await response(to: .script(sql), timeout: configuration.queryTimeout)
    }

    /// Closes it. What is in flight fails with ``PostgresError/connectionLost(_:)``, what is queued with
    /// ``PostgresError/clientClosed``; the server is told to stop.
    public nonisolated func close() async {
        await withCheckedContinuation { continuation in
            onClose { continuation.resume() }
            PollLoop.shared.submit { [self] in
                assumeIsolated { $0.giveUp(.clientClosed) }
            }
        }
    }

    // MARK: From tasks to the loop

    nonisolated func response(
        to kind: ConnectionRequest.Kind,
        timeout: Duration?
    ) async throws -> ConnectionRequest.Response {
        do {
            return try await perform(kind, timeout: timeout)
        } catch {
            throw error.error
        }
    }

    /// - Parameter survivesCancellation: for what must happen after a cancelled task's own work, such as a ROLLBACK.
    nonisolated func perform(
        _ kind: ConnectionRequest.Kind,
        timeout: Duration?,
        survivesCancellation: Bool = false
    ) async throws(RequestFailure) -> ConnectionRequest.Response {
        let request = ConnectionRequest(kind, timeout: timeout)
        do {
            if survivesCancellation { return try await submit(request) }
            return try await withTaskCancellationHandler {
                try await submit(request)
            } onCancel: {
                PollLoop.shared.submit { [self] in
                    assumeIsolated { $0.abandon(request, .cancelled) }
                }
            }
        } catch let failure as RequestFailure {
            throw failure
        } catch {
            preconditionFailure("a request failed with an error that is not its own: \(error)")
        }
    }

    private nonisolated func submit(_ request: ConnectionRequest) async throws -> ConnectionRequest.Response {
        try await withCheckedThrowingContinuation { continuation in
            request.begin(.task(continuation))
            PollLoop.shared.submit { [self] in
                assumeIsolated { $0.accept(request) }
            }
        }
    }

    /// As ``perform(_:timeout:survivesCancellation:)`` for a caller that is no task.
    /// - Parameter completion: called once, on the loop's thread, and not before this has returned.
    nonisolated func start(
        _ kind: ConnectionRequest.Kind,
        timeout: Duration?,
        _ completion: @escaping @Sendable (Result<ConnectionRequest.Response, RequestFailure>) -> Void
    ) {
        let request = ConnectionRequest(kind, timeout: timeout)
        request.begin(.callback(completion))
        PollLoop.shared.submit { [self] in
            assumeIsolated { $0.accept(request) }
        }
    }

    /// Sends statements whose results nobody waits for, ahead of whatever the caller sends next. What goes wrong with them shows there,
    /// where they are in a transaction, and nowhere otherwise.
    package nonisolated func post(_ calls: [PostgresCall]) {
        start(.batch(calls), timeout: configuration.queryTimeout) { _ in }
    }

    /// Runs `observer` once, on the loop's thread, when the connection is closed; at once where it is already.
    nonisolated func onClose(_ observer: @escaping @Sendable () -> Void) {
        PollLoop.shared.submit { [self] in
            assumeIsolated { connection in
                if connection.handle == nil { observer() } else { connection.closeObservers.append(observer) }
            }
        }
    }

    // MARK: The end

    /// The connection is of no use any more: everything on it fails, and the server is told to stop what it does.
    func giveUp(_ error: PostgresError, reason: String? = nil) {
        guard ending == nil, let handle else { return }
        ending = error
        let isRunning = machine.hasFlights || machine.exclusiveCall != nil
        let lost = PostgresError.connectionLost(reason ?? error.description)
        for (id, sent) in machine.close() {
            requests.removeValue(forKey: id)?.fail(sent ? lost : error, sent: sent)
        }
        failCopy(lost)
        inbox?.connectionEnded()
        stopPolling()
        guard isRunning, PQstatus(handle.pointer) == CONNECTION_OK, let cancel = PQgetCancel(handle.pointer) else {
            return finish()
        }
        // Cancelled before it is closed, because a connection pooler forgets with the connection whom to cancel. A server
        // that has read on in the pipeline by then needs another one, and so does one that had not begun with the statement:
        // it would run on with its locks. One that has ended meanwhile takes no notice.
        let cancellation = Cancellation(cancel)
        resetOnClose(handle)
        BlockingThreads.cancelling.run { [self] in
            cancellation.send()
            PollLoop.shared.submit {
                self.assumeIsolated { $0.finish() }
                for wait in PostgresConnection.cancelRepeats {
                    PollLoop.shared.schedule(at: .now + wait) {
                        BlockingThreads.cancelling.run { cancellation.send() }
                    }
                }
            }
        }
        PollLoop.shared.schedule(at: .now + PostgresConnection.cancelTimeout) { [self] in
            assumeIsolated { $0.finish() }
        }
    }

    /// An orderly close would let the server's next write succeed, and the server run on.
    private func resetOnClose(_ handle: PGConnection) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            PQsocket(handle.pointer),
            SOL_SOCKET,
            SO_LINGER,
            &linger,
            socklen_t(MemoryLayout.size(ofValue: linger))
        )
    }

    /// How long a connection that is given up waits for its cancellation to be delivered.
    static let cancelTimeout = Duration.seconds(2)

    /// When the server is told again, counted from the first time: it may not have read the statement by then.
    static let cancelRepeats: [Duration] = [.zero, .milliseconds(100), .seconds(1)]

    /// The connection broke; libpq or the server has said why.
    func lose(_ reason: String? = nil) {
        guard let handle else { return }
        let text = reason ?? notices.fatal?.description ?? handle.message
        giveUp(.connectionLost(text), reason: text)
    }

    private func finish() {
        guard let handle else { return }
        self.handle = nil
        PQfinish(handle.pointer)
        logger.debug(
            "closed a connection to PostgreSQL",
            metadata: ["pid": "\(backendProcessID)", "reason": "\(ending?.description ?? "dropped")"]
        )
        let observers = closeObservers
        closeObservers = []
        for observer in observers { observer() }
    }
}

/// A cancel request, for the one thread that sends it.
private final class Cancellation: @unchecked Sendable {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQfreeCancel(pointer) }

    /// Best effort: the connection is closed after it in any case, and then the server notices at its next write.
    func send() {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            _ = PQcancel(pointer, buffer.baseAddress, Int32(buffer.count))
        }
    }
}
