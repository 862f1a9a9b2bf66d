internal import CLibPQ
internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Opens one connection on a thread that may block: libpq resolves names, reads password and service files and asks
/// Kerberos synchronously. The caller is answered at the deadline or on cancellation, whatever that thread is stuck in.
final class ConnectAttempt: Sendable {
    private enum State {
        case waiting(CheckedContinuation<PGConnection, any Error>?)
        case settled
    }

    /// How long the thread may take to notice that nobody waits any more.
    static let noticeInterval: Int32 = 50

    private let configuration: PostgresConfiguration
    private let attempts: ConnectAttempts
    private let state = Mutex(State.waiting(nil))
    private let deadline: ContinuousClock.Instant

    init(_ configuration: PostgresConfiguration, among attempts: ConnectAttempts) {
        self.configuration = configuration
        self.attempts = attempts
        deadline = .now + configuration.connectTimeout
    }

    /// - Throws: ``PostgresError/cannotConnect(_:)``, ``PostgresError/cancelled``.
    func open() async throws -> PGConnection {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let settled = state.withLock { state in
                    guard case .waiting = state else { return true }
                    state = .waiting(continuation)
                    return false
                }
                if settled { return continuation.resume(throwing: PostgresError.cancelled) }
                attempts.begin()
                BlockingThreads.connecting.run { [self] in
                    work()
                    attempts.end()
                }
                PollLoop.shared.submit { [self] in
                    PollLoop.shared.schedule(at: deadline) { [self] in settle(.failure(timeout(""))) }
                }
            }
        } onCancel: {
            settle(.failure(.cancelled))
        }
    }

    /// - Returns: false where the attempt had an outcome before.
    @discardableResult
    private func settle(_ outcome: Result<PGConnection, PostgresError>) -> Bool {
        let previous = state.withLock { state in
            defer { state = .settled }
            return state
        }
        guard case .waiting(let continuation) = previous else { return false }
        continuation?.resume(with: outcome.mapError { $0 as any Error })
        return true
    }

    private var isSettled: Bool {
        state.withLock { if case .settled = $0 { true } else { false } }
    }

    private func timeout(_ soFar: String) -> PostgresError {
        let text = soFar.isEmpty ? "" : ": \(soFar)"
        return .cannotConnect(
            PostgresConnectFailure(message: "no connection within \(configuration.connectTimeout)\(text)")
        )
    }

    private func work() {
        guard !isSettled else { return }
        guard let connection = start() else {
            settle(.failure(.cannotConnect(PostgresConnectFailure(message: "libpq is out of memory"))))
            return
        }
        if let failure = finish(connection) {
            settle(.failure(failure))
            PQfinish(connection.pointer)
            return
        }
        if !settle(.success(connection)) { PQfinish(connection.pointer) }
    }

    /// Later keywords override earlier ones, and `dbname` expands to all that the connection string names.
    private func start() -> PGConnection? {
        var parameters = [
            ("fallback_application_name", configuration.applicationName),
            // A peer that is gone without a word is noticed within 90 seconds, not after the system's two hours.
            ("keepalives_idle", "60"), ("keepalives_interval", "10"), ("keepalives_count", "3"),
        ]
        if !configuration.connectionString.isEmpty { parameters.append(("dbname", configuration.connectionString)) }
        parameters.append(("client_encoding", "UTF8"))
        let strings = parameters.map { (strdup($0.0), strdup($0.1)) }
        defer {
            for (keyword, value) in strings {
                free(keyword)
                free(value)
            }
        }
        let keywords = strings.map { UnsafePointer($0.0) } + [nil]
        let values = strings.map { UnsafePointer($0.1) } + [nil]
        guard let pointer = PQconnectStartParams(keywords, values, 1) else { return nil }
        // Verbose messages carry the SQLSTATE, which libpq gives for a refused connection in no other way.
        PQsetErrorVerbosity(pointer, PQERRORS_VERBOSE)
        return PGConnection(pointer: pointer)
    }

    private func finish(_ connection: PGConnection) -> PostgresError? {
        var wanted = PGRES_POLLING_WRITING
        var hosts = HostTimer(budget: HostTimer.budget(configuration))
        while PQstatus(connection.pointer) != CONNECTION_BAD {
            if isSettled { return .cancelled }
            guard ContinuousClock.now < deadline else { return timeout(connection.message) }
            hosts.check(connection)
            var descriptor = pollfd(
                fd: PQsocket(connection.pointer),
                events: Int16(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                revents: 0
            )
            guard poll(&descriptor, 1, ConnectAttempt.noticeInterval) > 0 else { continue }
            wanted = PQconnectPoll(connection.pointer)
            if wanted == PGRES_POLLING_OK {
                PQsetErrorVerbosity(connection.pointer, PQERRORS_DEFAULT)
                return nil
            }
            if wanted == PGRES_POLLING_FAILED { break }
        }
        let text = PQerrorMessage(connection.pointer).map { String(cString: $0) } ?? ""
        return .cannotConnect(PostgresConnectFailure(verbose: text))
    }
}

/// Gives up on an address that does not answer, so that the next one of a list has its turn: libpq's nonblocking
/// connect leaves `connect_timeout` to its caller but offers no way to go on to the next address.
private struct HostTimer {
    let budget: Duration
    private var descriptor: Int32 = -1
    private var since = ContinuousClock.now

    init(budget: Duration) {
        self.budget = budget
    }

    mutating func check(_ connection: PGConnection) {
        guard PQstatus(connection.pointer) == CONNECTION_STARTED else { return }
        let current = PQsocket(connection.pointer)
        if current != descriptor {
            descriptor = current
            since = .now
        } else if since.duration(to: .now) > budget {
            // The pending connect fails with ECONNRESET, upon which libpq takes the next address.
            shutdown(current, Int32(SHUT_RDWR))
            since = .now
        }
    }

    static func budget(_ configuration: PostgresConfiguration) -> Duration {
        let options = options(configuration.connectionString)
        func option(_ name: String, _ variable: String) -> String? {
            options[name] ?? getenv(variable).map { String(cString: $0) }
        }
        if let seconds = option("connect_timeout", "PGCONNECT_TIMEOUT").flatMap({ Int($0) }), seconds > 0 {
            return .seconds(max(seconds, 2))
        }
        let hosts = (option("hostaddr", "PGHOSTADDR") ?? option("host", "PGHOST") ?? "").split(separator: ",")
        return max(.seconds(1), configuration.connectTimeout / (hosts.count + 1))
    }

    private static func options(_ connectionString: String) -> [String: String] {
        guard let first = PQconninfoParse(connectionString, nil) else { return [:] }
        defer { PQconninfoFree(first) }
        var options: [String: String] = [:]
        var option = first
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { options[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return options
    }
}

extension PostgresConnectFailure {
    /// Takes the SQLSTATE out of libpq's verbose text: `…: SEVERITY:  SQLSTATE: message`, then `LOCATION:  routine,
    /// file:line`. Only this punctuation is looked at, never the words, which may be in any language.
    init(verbose text: String) {
        var state: PostgresSQLState?
        var lines: [String] = []
        for line in text.split(whereSeparator: \.isNewline) {
            if let range = PostgresConnectFailure.sqlState(in: line) {
                state = PostgresSQLState(rawValue: String(line[range]))
                lines.append(String(line[..<range.lowerBound] + line[range.upperBound...].dropFirst(2)))
            } else if !PostgresConnectFailure.isLocation(line) {
                lines.append(line.drop { $0.isWhitespace }.description)
            }
        }
        self.init(message: lines.isEmpty ? "no reason given" : lines.joined(separator: "; "), sqlState: state)
    }

    private static func sqlState(in line: Substring) -> Range<Substring.Index>? {
        let bytes = line.utf8
        var start = bytes.startIndex
        while let colon = bytes[start...].firstIndex(of: UInt8(ascii: ":")) {
            start = bytes.index(after: colon)
            let rest = bytes[start...].prefix(9)
            guard rest.count >= 8, rest.starts(with: "  ".utf8) else { continue }
            let code = rest.dropFirst(2).prefix(5)
            let isCode = code.allSatisfy { (48...57).contains($0) || (65...90).contains($0) }
            if isCode, rest.dropFirst(7).starts(with: ":".utf8) { return code.startIndex..<code.endIndex }
        }
        return nil
    }

    private static func isLocation(_ line: Substring) -> Bool {
        // "LOCATION:  auth_failed, auth.c:324"
        guard let file = line.split(separator: " ").last, line.contains(":  ") else { return false }
        let parts = file.split(separator: ":")
        return parts.count == 2 && parts[0].hasSuffix(".c") && Int(parts[1]) != nil
    }
}
