public import MillracePostgres

extension EventStore {
    /// Stores events at the end of a stream. One round trip.
    ///
    /// Returns when the events are durable. Throws ``EventStoreError``: a conflict, a refusal, or an unknown outcome;
    /// see there what each means. The same ids appended again are answered with the original positions.
    ///
    /// Concurrent calls share transactions (``AppenderLimits``), and each succeeds, conflicts or fails by itself. A lone one
    /// is sent at once. Where more wait than the queue holds, callers wait for room. A call whose task is cancelled
    /// while it waits throws ``PostgresError/cancelled`` as ``EventStoreError/postgres(_:)``, and nothing of it is stored; one
    /// that is on its way throws ``EventStoreError/outcomeUnknown(eventIDs:)`` at once.
    ///
    /// In a store with ``PersonalData`` what is personal is sealed first: see there what that may cost and throw.
    ///
    /// - Parameter transaction: one of yours, and the events are stored when it commits, shared with nobody. Several appends in
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

    /// Stores the events of a request, in however many streams, together or not at all. One round trip, shared as in
    /// ``append(_:to:expecting:in:)``.
    @discardableResult
    public func append(
        _ request: AppendRequest,
        in transaction: PostgresTransaction? = nil
    ) async throws -> AppendResult {
        let request = try await vault?.sealed(request) ?? request
        guard let inline else { return try await appendPlainly(request, in: transaction) }
        guard let transaction else { return try await appendInline(request, inline) }
        // Who goes on in his transaction after an error must not store events that were not projected.
        return try await transaction.withSavepoint { transaction in
            try await inline.append(request, to: self, in: transaction) {
                try await appendPlainly(request, in: transaction)
            }
        }
    }

    /// Stores events without the projections that are written inline.
    private func appendPlainly(_ request: AppendRequest, in transaction: PostgresTransaction?) async throws
        -> AppendResult
    {
        guard let transaction else { return try await appendGrouped(request) }
        let ticket = try AppenderTicket(0, request)
        do {
            let call = AppendEncoding.call(of: [ticket])
            let rows = try await transaction.query(call.statement, call.parameters)
            return try AppendEncoding.result(of: request, in: rows[0])
        } catch let error as PostgresError {
            throw EventStoreError(error)
        }
    }

    /// Locks streams in the one order all appends use, creating none: the first step of a transaction that will
    /// append to them in several calls. One round trip.
    public func lockStreams(_ streams: [StreamID], in transaction: PostgresTransaction) async throws {
        try await EventStoreError.translating {
            let call = EventStore.lockCall(streams)
            _ = try await transaction.query(call.statement, call.parameters)
        }
    }

    static func lockCall(_ streams: [StreamID]) -> PostgresCall {
        PostgresCall(
            Statements.lockStreams,
            [.textArray(streams.map(\.aggregateType)), .textArray(streams.map(\.aggregateID))]
        )
    }
}

extension EventStore {
    /// In a transaction of its own, with the projections that are written inline.
    private func appendInline(_ request: AppendRequest, _ inline: InlineProjections) async throws -> AppendResult {
        do {
            return try await withTransaction { transaction in
                try await inline.append(request, to: self, in: transaction) {
                    try await appendPlainly(request, in: transaction)
                }
            }
        } catch PostgresError.outcomeUnknown {
            throw EventStoreError.outcomeUnknown(eventIDs: request.entries.map(\.event.id))
        } catch let error as PostgresError {
            throw EventStoreError(error)
        }
    }

    private func appendGrouped(_ request: AppendRequest) async throws -> AppendResult {
        switch try await appender.append(request) {
        case .row(let row):
            return try await EventStoreError.translating { try AppendEncoding.result(of: request, in: row) }
        case .refused(.server(let error)) where EventDiagnosis.isAboutJSON(error):
            throw await EventDiagnosis.refusal(of: request, error, client: client)
        case .refused(let error): throw EventStoreError(error)
        case .unknown: throw EventStoreError.outcomeUnknown(eventIDs: request.entries.map(\.event.id))
        case .mismatch(let rows, let requests):
            throw EventStoreError.notMigrated("append_events answered \(requests) requests with \(rows) rows")
        }
    }
}
