/// Everything that a client, a connection or a transaction throws by itself.
public enum PostgresError: Error, Sendable, CustomStringConvertible {
    /// The server refused a statement; the connection stays usable.
    case server(PostgresServerError)
    /// No connection could be opened.
    case cannotConnect(PostgresConnectFailure)
    /// The connection ended while the call was on it: whether the statement took effect is unknown unless it only read.
    case connectionLost(String)
    /// A COMMIT was interrupted: the transaction may have taken effect or not.
    case outcomeUnknown(String)
    /// The task was cancelled. If the statement had been sent, that cost the connection and its outcome is unknown.
    case cancelled
    /// The call took longer than this. If the statement had been sent, that cost the connection and its outcome is unknown.
    case timedOut(Duration)
    /// As many callers as ``PostgresConfiguration/maximumWaiters`` were waiting for a connection already.
    case poolExhausted(waiters: Int)
    /// No connection became free within ``PostgresConfiguration/acquireTimeout``.
    case acquireTimedOut(Duration)
    /// The client, or the connection, was closed by its owner.
    case clientClosed
    /// A value was not what the caller asked it to be decoded as.
    case decoding(PostgresDecodingError)
    /// The call is wrong by itself, whatever the state of the server.
    case misuse(String)

    /// The server's code, where the server refused a statement or the connection.
    public var sqlState: PostgresSQLState? {
        switch self {
        case .server(let error): error.sqlState
        case .cannotConnect(let failure): failure.sqlState
        case .connectionLost, .outcomeUnknown, .cancelled, .timedOut, .poolExhausted, .acquireTimedOut, .clientClosed,
            .decoding, .misuse:
            nil
        }
    }

    public var description: String {
        switch self {
        case .server(let error): error.description
        case .cannotConnect(let failure): "cannot connect to PostgreSQL: \(failure.message)"
        case .connectionLost(let reason): "the connection to PostgreSQL was lost: \(reason)"
        case .outcomeUnknown(let reason): "it is unknown whether the transaction was committed: \(reason)"
        case .cancelled: "the task was cancelled"
        case .timedOut(let limit): "PostgreSQL took longer than \(limit)"
        case .poolExhausted(let waiters): "\(waiters) callers are waiting for a connection already"
        case .acquireTimedOut(let limit): "no connection became free within \(limit)"
        case .clientClosed: "the PostgreSQL client is closed"
        case .decoding(let error): error.description
        case .misuse(let reason): reason
        }
    }
}

/// An error as the server reported it.
public struct PostgresServerError: Error, Sendable, Hashable, CustomStringConvertible {
    public var sqlState: PostgresSQLState
    /// `ERROR`, `FATAL` or `PANIC`, never translated.
    public var severity: String
    public var message: String
    public var detail: String?
    public var hint: String?
    /// Where in the statement, counted in characters from 1.
    public var position: Int?
    /// The calls that led there, innermost first.
    public var context: String?
    public var schema: String?
    public var table: String?
    public var column: String?
    public var dataType: String?
    public var constraint: String?
    /// The server's C function that raised it.
    public var routine: String?

    public init(sqlState: PostgresSQLState, severity: String = "ERROR", message: String) {
        self.sqlState = sqlState
        self.severity = severity
        self.message = message
    }

    public var description: String {
        var text = "\(message) (\(sqlState))"
        if let detail { text += ": \(detail)" }
        if let hint { text += "; hint: \(hint)" }
        return text
    }

    /// FATAL and PANIC end the session: the connection is gone with the statement.
    var endsSession: Bool { severity != "ERROR" }
}

/// Why no connection could be opened.
public struct PostgresConnectFailure: Error, Sendable, Hashable {
    /// What libpq said of every host it tried.
    public var message: String
    /// The server's code, where a server answered and refused: `28P01` wrong password, `3D000` no such database,
    /// `57P03` still starting up, `53300` no connection slot left.
    public var sqlState: PostgresSQLState?

    public init(message: String, sqlState: PostgresSQLState? = nil) {
        self.message = message
        self.sqlState = sqlState
    }
}

/// A value that cannot be what it was asked to be.
public struct PostgresDecodingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The column's name as the statement gave it, or its number from 0 where there is no such column.
    public var column: String
    /// The OID of the column's type; 0 where there is no such column.
    public var typeOID: UInt32
    /// The Swift type that was asked for.
    public var target: String
    /// What is wrong and what to do about it.
    public var reason: String

    public init(column: String, typeOID: UInt32, target: String, reason: String) {
        self.column = column
        self.typeOID = typeOID
        self.target = target
        self.reason = reason
    }

    public var description: String {
        "column \(column) (type OID \(typeOID)) cannot be decoded as \(target): \(reason)"
    }
}
