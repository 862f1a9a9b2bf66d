import MillracePostgres

/// One command, or one decision on several streams, from its first attempt to its end.
struct CommandRun: Sendable {
    let store: EventStore
    let retry: CommandRetry

    /// Others were faster, or held what was needed: nothing was stored.
    private struct Contention: Error {
        let cause: EventStoreError
        /// Those that the attempt has loaded; none where it did not come to that.
        var streams: [StreamID] = []

        /// nil where the error means something else.
        init?(_ error: any Error, _ streams: [StreamID] = []) {
            guard let error = error as? EventStoreError else { return nil }
            switch error {
            case .versionConflict: break
            case .postgres(.server(let server))
            where [.serializationFailure, .deadlockDetected, .lockNotAvailable].contains(server.sqlState):
                break
            default: return nil
            }
            cause = error
            self.streams = streams
        }
    }

    /// An error of the body, which is the caller's affair even where PostgreSQL has raised it.
    private struct Refusal: Error {
        let cause: any Error
    }

    /// What an attempt came to.
    private struct Attempt<Value> {
        let decision: Decision
        let value: Value
        var stored: AppendResult?
    }

    /// - Parameters:
    ///   - transaction: the caller's: one attempt, and none of its conflicts is retried.
    ///   - known: streams that it will certainly load; they are locked first in the caller's transaction.
    func decide<Value>(
        on known: [StreamID] = [],
        in transaction: PostgresTransaction?,
        _ body: (Decision) async throws -> Value
    ) async throws -> Decided<Value> {
        if let transaction { return try await decideOnce(locking: !known.isEmpty, in: transaction, body) }
        var streams = known
        var attempt = 1
        while true {
            do {
                let done =
                    retry.locks(in: attempt)
                    ? try await attemptLocking(streams, body) : try await attemptWithoutLocks(body)
                await done.decision.keepSnapshots()
                return Decided(value: done.value, stored: done.stored, attempts: attempt)
            } catch let contention as Contention {
                if !contention.streams.isEmpty { streams = contention.streams }
                guard attempt < retry.attempts else {
                    throw AggregateError.conflict(streams: streams, attempts: attempt, last: contention.cause)
                }
                try await Task.sleep(for: retry.backoff.delay(afterFailure: attempt))
                attempt += 1
            }
        }
    }

    private func decideOnce<Value>(
        locking: Bool,
        in transaction: PostgresTransaction,
        _ body: (Decision) async throws -> Value
    ) async throws -> Decided<Value> {
        let decision = Decision(store, in: transaction, locking: locking)
        let value = try await body(decision)
        let request = decision.end()
        guard !request.entries.isEmpty else { return Decided(value: value, stored: nil, attempts: 1) }
        let stored = try await store.append(request, in: transaction)
        await decision.keepSnapshots(in: transaction)
        return Decided(value: value, stored: stored, attempts: 1)
    }

    private func attemptWithoutLocks<Value>(_ body: (Decision) async throws -> Value) async throws -> Attempt<Value> {
        let decision = Decision(store, in: nil, locking: false)
        let value = try await body(decision)
        let request = decision.end()
        guard !request.entries.isEmpty else { return Attempt(decision: decision, value: value) }
        do {
            let stored: AppendResult
            do {
                stored = try await store.append(request)
            } catch EventStoreError.outcomeUnknown {
                stored = try await settle(request)
            }
            return Attempt(decision: decision, value: value, stored: stored)
        } catch {
            throw Contention(error, decision.streams) ?? error
        }
    }

    /// In a transaction that begins with the locks, so that nobody comes between.
    private func attemptLocking<Value>(
        _ streams: [StreamID],
        _ body: (Decision) async throws -> Value
    ) async throws -> Attempt<Value> {
        // What the transaction's COMMIT decides on; nil as long as a failure means that nothing was stored.
        var atCommit: (attempt: Attempt<Value>, request: AppendRequest)?
        do {
            return try await store.commands.withPlace {
                let done = try await store.client.withTransaction { transaction in
                    try await lock(streams, in: transaction)
                    let decision = Decision(store, in: transaction, locking: false)
                    let value: Value
                    do {
                        value = try await body(decision)
                    } catch {
                        throw Refusal(cause: error)
                    }
                    let request = decision.end()
                    var done = Attempt(decision: decision, value: value)
                    guard !request.entries.isEmpty else { return done }
                    done.stored = try await append(request, of: decision, in: transaction)
                    atCommit = (done, request)
                    return done
                }
                if let stored = done.stored { store.announce(stored.lastPosition) }
                return done
            }
        } catch let refusal as Refusal {
            throw refusal.cause
        } catch let error as PostgresError {
            guard case .outcomeUnknown = error, let (attempt, request) = atCommit else {
                let error = EventStoreError(error)
                throw Contention(error) ?? error
            }
            var done = attempt
            do {
                done.stored = try await settle(request)
            } catch {
                throw Contention(error, done.decision.streams) ?? error
            }
            return done
        }
    }

    private func append(
        _ request: AppendRequest,
        of decision: Decision,
        in transaction: PostgresTransaction
    ) async throws -> AppendResult {
        do {
            return try await store.append(request, in: transaction)
        } catch {
            throw Contention(error, decision.streams) ?? error
        }
    }

    private func lock(_ streams: [StreamID], in transaction: PostgresTransaction) async throws {
        if streams.isEmpty { return }
        let wait = "\(max(1, Int(retry.lockWait / .milliseconds(1))))ms"
        do {
            try await EventStoreError.translating {
                _ = try await transaction.pipeline([
                    PostgresCall(Statements.limitLockWaits, [.text(wait)]), EventStore.lockCall(streams),
                ])
            }
        } catch {
            throw Contention(error) ?? error
        }
    }

    /// Finds out what became of an append whose answer was lost, by appending the same events with the same ids again. The outcome is known
    /// where that is answered: they are stored, whichever time it was, or the streams have moved, and they never will be.
    private func settle(_ request: AppendRequest) async throws -> AppendResult {
        let limits = store.appender.limits
        let deadline = ContinuousClock.now + limits.resendTime
        var failures = 0
        while !Task.isCancelled {
            do {
                return try await store.append(request)
            } catch let error as EventStoreError {
                if case .versionConflict = error { throw error }
                failures += 1
                guard failures < limits.resends, ContinuousClock.now < deadline else { break }
                try? await Task.sleep(for: limits.resendBackoff.delay(afterFailure: failures))
            }
        }
        throw AggregateError.outcomeUnknown(request)
    }
}
