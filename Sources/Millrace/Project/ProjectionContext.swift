public import MillracePostgres

/// What a projection is given with events, for as long as it writes them.
public struct ProjectionContext: Sendable {
    /// The transaction in which the checkpoint moves, or which appends the events. The projection's own tables come first in its search_path.
    public let transaction: PostgresTransaction
    public let store: EventStore
    public let projection: String
    public let version: Int
    /// Up to here events have no effects but on the projection's tables.
    let silentTo: Position

    /// Whether the event is only written into tables now: it is history to a projection that is new, or another generation has had its
    /// other effects. Sees to it that they are had once over all generations.
    public func isRebuilding(_ event: RecordedEvent) -> Bool { event.position <= silentTo }

    /// Runs `body`, which does something outside of the projection's tables, unless the event is only being rebuilt.
    public func unlessRebuilding(_ event: RecordedEvent, _ body: () async throws -> Void) async rethrows {
        if !isRebuilding(event) { try await body() }
    }

    /// Stores rows in one of the projection's tables by COPY; see ``MillracePostgres/PostgresCopyRows``. Much faster than INSERT, where rows are only added.
    public func copy(_ rows: PostgresCopyRows, into table: String, columns: [String]) async throws {
        try await transaction.copy(rows, into: table, columns: columns)
    }
}
