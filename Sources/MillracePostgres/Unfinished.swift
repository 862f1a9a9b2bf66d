public import Logging

public struct PostgresPoolStatistics: Sendable, Hashable {
    public var open = 0
    public var connecting = 0
    public var idle = 0
    public var leased = 0
    public var waiting = 0
}

public final class PostgresClient: PostgresSession {
    public let configuration: PostgresConfiguration
    public init(_ configuration: PostgresConfiguration, logger: Logger = Logger(label: "millrace.postgres")) {
        self.configuration = configuration
    }
    @discardableResult
    public func query(_ statement: PostgresStatement, _ parameters: [PostgresValue], timeout: Duration?) async throws
        -> PostgresRows
    { fatalError() }
    @discardableResult
    public func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows] { fatalError() }
    public func withConnection<T>(
        _ body: (PostgresConnection) async throws -> T
    ) async throws -> T { fatalError() }
    public func withTransaction<T>(
        _ mode: PostgresTransactionMode = .init(),
        retry: PostgresRetryPolicy = .none,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T { fatalError() }
    public func script(_ sql: String) async throws { fatalError() }
    public func notifications(on channels: [String]) -> PostgresNotifications { fatalError() }
    public func close() async {}
    public var statistics: PostgresPoolStatistics { fatalError() }
}

public actor PostgresConnection: PostgresSession {
    public static func connect(
        _ configuration: PostgresConfiguration,
        logger: Logger = Logger(label: "millrace.postgres")
    ) async throws -> PostgresConnection { fatalError() }
    public nonisolated let backendProcessID: Int32 = 0
    public nonisolated let serverVersion: Int = 0
    @discardableResult
    public nonisolated func query(_ statement: PostgresStatement, _ parameters: [PostgresValue], timeout: Duration?)
        async throws -> PostgresRows
    { fatalError() }
    @discardableResult
    public nonisolated func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows] { fatalError() }
    public nonisolated func withTransaction<T>(
        _ mode: PostgresTransactionMode = .init(),
        retry: PostgresRetryPolicy = .none,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T { fatalError() }
    public nonisolated func script(_ sql: String) async throws { fatalError() }
    @discardableResult
    public nonisolated func copyIn(
        _ sql: String,
        _ body: (PostgresCopyWriter) async throws -> Void
    ) async throws -> Int { fatalError() }
    @discardableResult
    public nonisolated func copyOut(
        _ sql: String,
        _ body: ([UInt8]) async throws -> Void
    ) async throws -> Int { fatalError() }
    public func close() async {}
}

public struct PostgresCopyWriter: Sendable {
    public func write(_ bytes: [UInt8]) async throws { fatalError() }
}

public struct PostgresTransaction: PostgresSession {
    public let connection: PostgresConnection
    @discardableResult
    public func query(_ statement: PostgresStatement, _ parameters: [PostgresValue], timeout: Duration?) async throws
        -> PostgresRows
    { fatalError() }
    @discardableResult
    public func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows] { fatalError() }
    public func withSavepoint<T>(
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T { fatalError() }
    @discardableResult
    public func copyIn(
        _ sql: String,
        _ body: (PostgresCopyWriter) async throws -> Void
    ) async throws -> Int { fatalError() }
    @discardableResult
    public func copyOut(
        _ sql: String,
        _ body: ([UInt8]) async throws -> Void
    ) async throws -> Int { fatalError() }
}

public enum PostgresNotification: Sendable, Hashable {
    case notified(channel: String, payload: String, processID: Int32)
    /// First, and after each reconnect: something may have been missed, look at the table.
    case listening
}

public struct PostgresNotifications: AsyncSequence, Sendable {
    public typealias Element = PostgresNotification
    public typealias Failure = Never
    public struct AsyncIterator: AsyncIteratorProtocol {
        public mutating func next() async -> PostgresNotification? { nil }
        public mutating func next(isolation actor: isolated (any Actor)?) async -> PostgresNotification? { nil }
    }
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
}
