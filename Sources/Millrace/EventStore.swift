public import Logging
public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// The event store in one PostgreSQL database: append, read, subscribe.
///
///     let client = PostgresClient(PostgresConfiguration("postgresql://…"))
///     let store = EventStore(client)
///     try await store.append([NewEvent(OrderCreated(…))], to: StreamID("order", "42"), expecting: .noStream)
///
/// A value to pass around: copies share the client, the appender, the doorbell and the reader of the log. Making one connects
/// to nothing. Every operation that takes `in:` also works inside a transaction of yours.
public struct EventStore: Sendable {
    public let client: PostgresClient
    /// What the store's events mean now; whatever reads them through the store applies it.
    public let upcasters: Upcasters
    /// Which fields of events are encrypted where they are stored; nil: none, and those that are are read as they are stored.
    public var personal: PersonalData? { vault?.personal }
    let vault: PersonalVault?
    let appender: Appender
    let doorbell: Doorbell
    let feed: LogFeed
    let inline: InlineProjections?
    let commands: CommandGate
    let logger: Logger

    /// - Parameters:
    ///   - upcasters: what events of earlier versions mean now.
    ///   - personal: which fields are sealed when they are appended, and opened when they are read, before the upcasters see them.
    ///   - appending: how appends share transactions.
    ///   - inline: the inline projections that its appends write, and those of the database that functions write; each append is a transaction of
    ///     its own then. nil: none, and an append that one wants is refused.
    public init(
        _ client: PostgresClient,
        upcasters: Upcasters = Upcasters(),
        personal: PersonalData? = nil,
        appending: AppenderLimits = AppenderLimits(),
        projecting inline: [Projection]? = nil,
        logger: Logger = Logger(label: "millrace")
    ) {
        self.init(
            client,
            upcasters: upcasters,
            personal: personal,
            appending: appending,
            projecting: inline,
            logger: logger,
            feed: LogFeedState.Limits()
        )
    }

    init(
        _ client: PostgresClient,
        upcasters: Upcasters = Upcasters(),
        personal: PersonalData? = nil,
        appending: AppenderLimits = AppenderLimits(),
        projecting inline: [Projection]? = nil,
        logger: Logger,
        feed limits: LogFeedState.Limits
    ) {
        let doorbell = Doorbell(client: client, logger: logger)
        let feed = LogFeed(client: client, limits: limits)
        self.client = client
        self.upcasters = upcasters
        vault = personal.map { PersonalVault($0, client: client) }
        self.logger = logger
        self.doorbell = doorbell
        self.feed = feed
        self.inline = inline.map { InlineProjections($0) }
        commands = CommandGate(connections: client.configuration.maximumConnections)
        appender = Appender(client: client, limits: appending) { position in
            feed.announce(position)
            doorbell.ring(position)
        }
    }

    /// Runs `body` in a transaction and, once it is committed, wakes the subscribers up. What is appended with
    /// `in: transaction` is stored together with whatever else `body` writes, or not at all.
    ///
    /// Serialization failures and deadlocks are retried by the policy: `body` may run more than once.
    public func withTransaction<Value>(
        _ mode: PostgresTransactionMode = .init(),
        retry: PostgresRetryPolicy = .serializationFailures(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        let value = try await client.withTransaction(mode, retry: retry) { transaction in
            do {
                return try await body(transaction)
            } catch EventStoreError.postgres(let error) where error.sqlState.map(retry.sqlStates.contains) == true {
                // The policy knows PostgreSQL's errors, and an append inside of the body speaks of them as the store's.
                throw error
            }
        }
        // Which position was appended inside is not known here, and the doorbell's payload is only a hint.
        if !mode.readOnly { announce(.start) }
        return value
    }

    /// Which life of the store this is: see ``Checkpoint``. One round trip.
    public func epoch(in session: (any PostgresSession)? = nil) async throws -> UUID {
        try await EventStoreError.translating {
            let rows = try await (session ?? client).query(Statements.epoch)
            return try rows[0].decode(UUID.self, at: 0)
        }
    }

    /// Says that events up to a position are stored: to the subscribers of this process directly, to everyone else by the
    /// doorbell. ``Position/start`` where the position is not known. Returns at once.
    func announce(_ position: Position) {
        feed.announce(position)
        doorbell.ring(position)
    }

    /// Waits until the wake-ups of appends that have already returned are sent: before a short-lived process ends.
    /// Nothing is lost without it, but subscribers may learn of those events only at their next poll.
    public func flush() async {
        await doorbell.flush()
    }
}

/// The statements the library sends, each prepared once a connection. The work is done by functions of the
/// schema, so that every language with a PostgreSQL driver gets the same behaviour.
enum Statements {
    static let append: PostgresStatement = """
        SELECT request, outcome, positions, versions, conflicts
        FROM millrace.append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """
    /// The same columns for a request of one event.
    static let appendOne: PostgresStatement = """
        SELECT 1, outcome, positions, versions, conflicts
        FROM millrace.append_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """
    static let readPage: PostgresStatement = """
        SELECT scanned_to, is_last, epoch, horizon, id, event_id, event_type, aggregate_type, aggregate_id, version,
               event_data, metadata, occurred_at, created_at, payload, content_type
        FROM millrace.read_page($1, $2, $3, $4, $5)
        """
    static let beginPage: PostgresStatement = "SELECT horizon, up_to, epoch FROM millrace.begin_page($1)"
    static let pageEvents = PostgresStatement(utf8: PackageResources.page_events_sql)
    static let readStream: PostgresStatement = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version,
               event_data, metadata, occurred_at, created_at, payload, content_type
        FROM millrace.read_stream($1, $2, $3, $4, $5, $6)
        """
    static let loadAggregate: PostgresStatement = """
        SELECT stream_version, snapshot_version, snapshot_state, snapshot_age,
               id, event_id, event_type, aggregate_type, aggregate_id, version,
               event_data, metadata, occurred_at, created_at, payload, content_type
        FROM millrace.load_aggregate($1, $2, $3, $4, $5, $6)
        """
    static let saveSnapshot: PostgresStatement = "SELECT millrace.save_snapshot($1, $2, $3, $4, $5, $6)"
    static let savePersonalSnapshot: PostgresStatement =
        "SELECT millrace.save_personal_snapshot($1, $2, $3, $4, $5, $6, $7)"
    static let discardSnapshots: PostgresStatement = "SELECT millrace.discard_snapshots($1, $2)"
    static let limitLockWaits: PostgresStatement = "SELECT set_config('lock_timeout', $1, true)"
    static let rebuild: PostgresStatement = "SELECT millrace.rebuild_aggregate($1, $2, $3, $4)"
    static let historyPage: PostgresStatement = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version,
               event_data, metadata, occurred_at, created_at, payload, content_type, state_before, state, paths, befores, afters
        FROM millrace.history_page($1, $2, $3, $4, $5, $6, $7, $8)
        """
    static let epoch: PostgresStatement = "SELECT epoch FROM millrace.store_info()"
    static let lastCommitted: PostgresStatement = "SELECT millrace.last_committed_position()"
    static let latestPosition: PostgresStatement = "SELECT millrace.latest_position()"
    static let ring: PostgresStatement = "SELECT pg_notify('event_channel', $1)"
    static let lockStreams: PostgresStatement = "SELECT millrace.lock_streams($1, $2)"
    static let readImport: PostgresStatement = """
        SELECT lines, prefix_hash, events_stored, started_at, updated_at, finished_at FROM millrace.read_import($1)
        """
    static let importLines: PostgresStatement = """
        SELECT stored, repeated, last_position FROM millrace.import_lines($1, $2, $3, $4, $5, $6)
        """
    static let checkImportLines: PostgresStatement = """
        SELECT index, reason FROM millrace.check_import_lines($1) ORDER BY index
        """
}
