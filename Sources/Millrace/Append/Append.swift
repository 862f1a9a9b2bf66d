public import MillracePostgres

extension EventStore {
    /// Stores events at the end of a stream. One round trip.
    ///
    /// Returns when the events are durable. Throws ``EventStoreError``: a conflict, a refusal, or an unknown outcome;
    /// see there what each means. The same ids appended again are answered with the original positions.
    ///
    /// - Parameter transaction: one of yours, and the events are stored when it commits. Several appends in
    ///   one transaction can deadlock against another transaction that locks the same streams in another order:
    ///   make it one ``AppendRequest``, or lock all streams first with ``lockStreams(_:in:)``.
    @discardableResult
    public func append(
        _ events: [NewEvent],
        to stream: StreamID,
        expecting expected: ExpectedVersion = .any,
        in transaction: PostgresTransaction? = nil
    ) async throws -> AppendResult {
        try await append(AppendRequest(events, to: stream, expecting: expected), in: transaction)
    }

    /// Stores one typed event at the end of a stream.
    @discardableResult
    public func append(
        _ event: some TypedEvent,
        to stream: StreamID,
        expecting expected: ExpectedVersion = .any,
        metadata: EventMetadata? = nil,
        in transaction: PostgresTransaction? = nil
    ) async throws -> AppendResult {
        try await append([NewEvent(event, metadata: metadata)], to: stream, expecting: expected, in: transaction)
    }

    /// Stores the events of a request, in however many streams, together or not at all. One round trip.
    @discardableResult
    public func append(
        _ request: AppendRequest,
        in transaction: PostgresTransaction? = nil
    ) async throws -> AppendResult {
        guard !request.entries.isEmpty else {
            throw EventStoreError.invalidEvent("the request has no events", hint: "Append at least one event.")
        }
        let parameters = try AppendEncoding.parameters(of: [request])
        do {
            if let transaction {
                let rows = try await transaction.query(Statements.append, parameters)
                return try AppendEncoding.result(of: request, in: rows[0])
            }
            let rows = try await sendRetrying(parameters)
            let result = try AppendEncoding.result(of: request, in: rows[0])
            if !result.wasRepeated { announce(result.lastPosition) }
            return result
        } catch let error as PostgresError {
            throw await diagnose(error, of: request, in: transaction)
        }
    }

    /// Locks streams in the one order all appends use, creating none: the first step of a transaction that will
    /// append to them in several calls. One round trip.
    public func lockStreams(_ streams: [StreamID], in transaction: PostgresTransaction) async throws {
        try await EventStoreError.translating {
            _ = try await transaction.query(
                Statements.lockStreams,
                [.textArray(streams.map(\.aggregateType)), .textArray(streams.map(\.aggregateID))]
            )
        }
    }
}

extension EventStore {
    /// How often an append of its own transaction is sent when another transaction makes it fail: in read committed it
    /// never is, but a database may have another default.
    private static let appendAttempts = 5

    private func sendRetrying(_ parameters: [PostgresValue]) async throws -> PostgresRows {
        let backoff = PostgresBackoff(initial: .milliseconds(5), maximum: .milliseconds(200))
        for failure in 1..<EventStore.appendAttempts {
            do {
                return try await client.query(Statements.append, parameters)
            } catch let error as PostgresError
                where error.sqlState == .serializationFailure || error.sqlState == .deadlockDetected
            {
                try await Task.sleep(for: backoff.delay(afterFailure: failure))
            }
        }
        return try await client.query(Statements.append, parameters)
    }

    private func diagnose(
        _ error: PostgresError,
        of request: AppendRequest,
        in transaction: PostgresTransaction?
    ) async -> any Error {
        switch error {
        // Cancelled and timed out too: whether the statement had been sent by then is not known here.
        case .connectionLost, .outcomeUnknown, .cancelled, .timedOut:
            // Inside a caller's transaction nothing is stored without the caller's commit.
            if transaction != nil { return EventStoreError.postgres(error) }
            return EventStoreError.outcomeUnknown(eventIDs: request.entries.map(\.event.id))
        case .server(let server) where transaction == nil && EventDiagnosis.isAboutJSON(server):
            return await EventDiagnosis.refusal(of: request, server, client: client)
        case .server, .cannotConnect, .poolExhausted, .acquireTimedOut, .clientClosed,
            .decoding, .misuse:
            return EventStoreError(error)
        }
    }
}
