internal import Synchronization

/// A transaction that is open. Its BEGIN travels with the first statement, and one without statements costs nothing.
public struct PostgresTransaction: PostgresSession {
    /// Statements on it belong to the transaction as well.
    public let connection: PostgresConnection

    @discardableResult
    public func query(
        _ statement: PostgresStatement,
        _ parameters: [PostgresValue],
        timeout: Duration?
    ) async throws -> PostgresRows {
        try await connection.query(statement, parameters, timeout: timeout)
    }

    @discardableResult
    public func pipeline(_ calls: [PostgresCall]) async throws -> [PostgresRows] {
        try await connection.pipeline(calls)
    }

    /// As ``PostgresConnection/script(_:)``, within the transaction.
    public func script(_ sql: String) async throws {
        try await connection.script(sql)
    }

    /// As ``PostgresConnection/copyIn(_:_:)``, within the transaction.
    @discardableResult
    public func copyIn(_ sql: String, _ body: (PostgresCopyWriter) async throws -> Void) async throws -> Int {
        try await connection.copyIn(sql, body)
    }

    /// As ``PostgresConnection/copyOut(_:_:)``, within the transaction, which a throw of `body` ends.
    @discardableResult
    public func copyOut(_ sql: String, _ body: ([UInt8]) async throws -> Void) async throws -> Int {
        try await connection.copyOut(sql, body)
    }

    /// Runs `body` in a part of the transaction that can fail by itself: a throw undoes what it did, and is thrown.
    ///
    /// Two round trips besides those of `body`. Savepoints can be nested, not run beside each other.
    /// - Throws: ``PostgresError``, and what `body` throws.
    public func withSavepoint<T>(_ body: (PostgresTransaction) async throws -> T) async throws -> T {
        let name = "millrace_\(connection.savepoints.wrappingAdd(1, ordering: .relaxed).newValue)"
        try await query(PostgresStatement("SAVEPOINT \(name)", prepared: false))
        let value: T
        do {
            value = try await body(self)
        } catch {
            let undo = ["ROLLBACK TO SAVEPOINT \(name)", "RELEASE SAVEPOINT \(name)"]
            // Where this fails too, the transaction stays failed, and its COMMIT says so.
            _ = try? await connection.perform(
                .batch(undo.map { PostgresCall(PostgresStatement($0, prepared: false)) }),
                timeout: connection.configuration.settleTimeout,
                survivesCancellation: true
            )
            throw error
        }
        try await query(PostgresStatement("RELEASE SAVEPOINT \(name)", prepared: false))
        return value
    }
}

extension PostgresConnection {
    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws, also where its task was
    /// cancelled. One round trip for the COMMIT besides those of `body`; none where `body` sends nothing.
    ///
    /// Statements that other tasks send on this connection meanwhile belong to the transaction.
    /// - Parameter retry: which failures run `body` again, in a new transaction.
    /// - Throws: ``PostgresError/outcomeUnknown(_:)`` where the COMMIT was interrupted, ``PostgresError/server(_:)`` with
    ///   ``PostgresSQLState/inFailedTransaction`` where `body` returned although one of its statements had failed; other
    ///   ``PostgresError``s; what `body` throws.
    public nonisolated func withTransaction<T>(
        _ mode: PostgresTransactionMode = .init(),
        retry: PostgresRetryPolicy = .none,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T {
        var failures = 0
        while true {
            do {
                return try await runTransaction(mode, body)
            } catch {
                failures += 1
                guard let wait = retry.wait(afterFailure: failures, error) else { throw error }
                try await pause(wait)
            }
        }
    }

    nonisolated func runTransaction<T>(
        _ mode: PostgresTransactionMode,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T {
        guard
            transactionIsOpen.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing)
                .exchanged
        else { throw PostgresError.misuse("a transaction is open on the connection already; use a savepoint in it") }
        defer { transactionIsOpen.store(false, ordering: .releasing) }
        let begin = mode.begin
        PollLoop.shared.submit { [self] in
            assumeIsolated { $0.pendingBegin = begin }
        }
        let value: T
        do {
            value = try await body(PostgresTransaction(connection: self))
        } catch {
            await rollBack()
            throw error
        }
        try await commit()
        return value
    }

    private nonisolated func commit() async throws {
        let response: ConnectionRequest.Response
        do throws(RequestFailure) {
            response = try await perform(.end(commit: true), timeout: configuration.queryTimeout)
        } catch {
            guard error.sent else {
                await rollBack()
                throw error.error
            }
            throw error.error.ofCommit
        }
        // COMMIT of a failed transaction is answered with success, and with this tag.
        if response.results.first?.commandTag == "ROLLBACK" {
            throw PostgresError.server(
                PostgresServerError(
                    sqlState: .inFailedTransaction,
                    message: "the transaction was rolled back, because a statement in it had failed"
                )
            )
        }
    }

    private nonisolated func rollBack() async {
        do throws(RequestFailure) {
            _ = try await perform(
                .end(commit: false),
                timeout: configuration.settleTimeout,
                survivesCancellation: true
            )
        } catch {
            PollLoop.shared.submit { [self] in
                assumeIsolated {
                    $0.giveUp(.connectionLost("a transaction on it could not be rolled back: \(error.error)"))
                }
            }
        }
    }

    /// Leaves nothing behind for the next user of the connection.
    /// - Returns: whether it can be used on.
    nonisolated func settle() async -> Bool {
        do throws(RequestFailure) {
            _ = try await perform(.settle, timeout: configuration.settleTimeout, survivesCancellation: true)
            return true
        } catch {
            PollLoop.shared.submit { [self] in
                assumeIsolated { $0.giveUp(.connectionLost("it could not be settled: \(error.error)")) }
            }
            return false
        }
    }
}

extension PostgresError {
    /// What a COMMIT's failure means: only a plain error of the server is a definite one.
    fileprivate var ofCommit: PostgresError {
        switch self {
        case .server(let error) where error.sqlState != .transactionResolutionUnknown: self
        case .server, .connectionLost, .cancelled, .timedOut, .clientClosed, .outcomeUnknown:
            .outcomeUnknown("the COMMIT was interrupted: \(self)")
        case .cannotConnect, .poolExhausted, .acquireTimedOut, .decoding, .misuse: self
        }
    }
}

/// A wait between attempts that ends with the task's cancellation.
func pause(_ wait: Duration) async throws(PostgresError) {
    do {
        try await Task.sleep(for: wait)
    } catch {
        throw .cancelled
    }
}
