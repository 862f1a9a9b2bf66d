/// What a client, a connection and a transaction have in common, so that an operation is written once and runs in any.
public protocol PostgresSession: Sendable {
    /// Runs one statement; one round trip, also where it is prepared first.
    /// - Parameter timeout: nil means ``PostgresConfiguration/queryTimeout``.
    /// - Throws: ``PostgresError``.
    @discardableResult
    func query(_ statement: PostgresStatement, _ parameters: [PostgresValue], timeout: Duration?) async throws
        -> PostgresRows

    /// Sends all statements before any of them is answered: one round trip.
    ///
    /// The results come in the order of the calls. The first failure is thrown; the statements after it do not run.
    /// Outside of a transaction the calls are one implicit transaction, so that then nothing of them remains.
    /// - Throws: ``PostgresError``.
    @discardableResult
    func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows]
}

extension PostgresSession {
    /// Runs one statement; one round trip, also where it is prepared first.
    /// - Throws: ``PostgresError``.
    @discardableResult
    public func query(_ statement: PostgresStatement, _ parameters: [PostgresValue] = []) async throws -> PostgresRows {
        try await query(statement, parameters, timeout: nil)
    }
}
