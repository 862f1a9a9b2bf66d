public import MillracePostgres

extension HandlerOperations {
    /// Streams that are listed or changed at once at the most.
    public static let mostParked = 100_000

    private static let listParked = PostgresStatement(
        "SELECT \(ParkedEvent.columns) FROM millrace.list_parked($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    private static let retryParked = PostgresStatement(
        "SELECT \(ParkedEvent.columns) FROM millrace.retry_parked($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    private static let discardParked = PostgresStatement(
        "SELECT \(ParkedEvent.columns) FROM millrace.discard_parked($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    private static let editParked = PostgresStatement(
        "SELECT \(ParkedEvent.columns) FROM millrace.edit_parked($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    )

    /// The streams that wait, by handler, in the order of their heads. One round trip.
    public func parked(
        _ filter: ParkedFilter = .all,
        limit: Int = 100,
        in session: (any PostgresSession)? = nil
    ) async throws -> [ParkedEvent] {
        try await query(
            HandlerOperations.listParked,
            filter.parameters + [.int4(Int32(clamping: limit))],
            in: session
        ).map { try ParkedEvent($0) }
    }

    /// Has the heads of these streams handled again at once, as if for the first time, and what waits behind each when it succeeds.
    /// What was discarded and not passed over yet is taken back only where the filter's status says so. One round trip.
    ///
    /// - Parameter dryRun: nothing is changed.
    /// - Returns: the streams as they are then, or those that are meant; `limit` of them: there may be more.
    @discardableResult
    public func retryParked(
        _ filter: ParkedFilter,
        dryRun: Bool = false,
        limit: Int = 10_000,
        in session: (any PostgresSession)? = nil
    ) async throws -> [ParkedEvent] {
        try await query(
            HandlerOperations.retryParked,
            filter.parameters + [.bool(dryRun), .int4(Int32(clamping: limit))],
            in: session
        ).map { try ParkedEvent($0) }
    }

    /// Has the heads of these streams passed over; what waits behind each is handled then. The events stay in the log, and the reason in
    /// ``actions(of:on:limit:in:)``. Work on them that is under way at this moment is undone. One round trip.
    ///
    /// - Parameter reason: 1 to 2,000 characters.
    /// - Parameter dryRun: nothing is changed.
    /// - Returns: the streams as they are then, or those that are meant; `limit` of them: there may be more.
    @discardableResult
    public func discardParked(
        _ filter: ParkedFilter,
        reason: String,
        dryRun: Bool = false,
        limit: Int = 10_000,
        in session: (any PostgresSession)? = nil
    ) async throws -> [ParkedEvent] {
        try await query(
            HandlerOperations.discardParked,
            [.text(reason)] + filter.parameters + [.bool(dryRun), .int4(Int32(clamping: limit))],
            in: session
        ).map { try ParkedEvent($0) }
    }

    /// Gives the handler other data than the event's, the next time that it handles the heads of these streams. The events never
    /// change. Work on them that is under way at this moment is undone. One round trip.
    ///
    /// - Parameter data: what it gets; nil takes edits back.
    /// - Parameter merging: the keys of `data` are laid over what it would get now.
    /// - Parameter retrying: they are handled at once, as ``retryParked(_:dryRun:limit:in:)`` does it.
    /// - Parameter dryRun: nothing is changed.
    /// - Returns: the streams as they are then, or would be; `limit` of them: there may be more.
    @discardableResult
    public func editParked(
        _ filter: ParkedFilter,
        data: JSON?,
        merging: Bool = false,
        retrying: Bool = false,
        dryRun: Bool = false,
        limit: Int = 10_000,
        in session: (any PostgresSession)? = nil
    ) async throws -> [ParkedEvent] {
        try await query(
            HandlerOperations.editParked,
            [.jsonb(data?.utf8), .bool(merging), .bool(retrying)] + filter.parameters + [
                .bool(dryRun), .int4(Int32(clamping: limit)),
            ],
            in: session
        ).map { try ParkedEvent($0) }
    }
}
