import MillracePostgres

/// Projections that are written in the transaction of the append.
struct InlineProjections: Sendable {
    let projections: [Projection]

    init(_ projections: [Projection]) {
        precondition(
            projections.allSatisfy { $0.mode == .inline },
            "a store projects inline what is declared so; give the others to a worker"
        )
        self.projections = projections
    }

    /// One that serves now, as the database has it.
    private struct Serving {
        let handler: String
        /// Its code; nil where functions write it.
        let projection: Projection?
        let function: String?
        let filter: EventFilter

        init(_ row: PostgresRow, _ projections: [Projection]) throws {
            let name = try row.decode(String.self, at: 0)
            let version = Int(try row.decode(Int32.self, at: 1))
            handler = try row.decode(String.self, at: 2)
            function = try row.decode(String?.self, at: 3)
            filter = EventFilter(
                eventTypes: try row.decode([String]?.self, at: 4),
                aggregateTypes: try row.decode([String]?.self, at: 5)
            )
            projection = function == nil ? projections.first { $0.name == name && $0.version == version } : nil
        }

        func wants(_ entry: AppendRequest.Entry) -> Bool {
            (filter.eventTypes?.contains { $0.utf8.elementsEqual(entry.event.type.utf8) } ?? true)
                && (filter.aggregateTypes?.contains { $0.utf8.elementsEqual(entry.stream.aggregateType.utf8) } ?? true)
        }
    }

    private static let begin: PostgresStatement = """
        SELECT projection, version, handler_id, function, event_types, aggregate_types FROM millrace.begin_inline($1, $2)
        """
    private static let settings: PostgresStatement = """
        SELECT current_setting('search_path'), coalesce(current_setting('millrace.inline', true), '')
        """
    private static let setDeclared: PostgresStatement = "SELECT set_config('millrace.inline', $1, true)"
    private static let setPath: PostgresStatement = "SELECT set_config('search_path', $1, true)"
    private static let project: PostgresStatement = "SELECT millrace.project_inline($1, $2, $3)"
    private static let events: PostgresStatement = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version,
               event_data, metadata, occurred_at, created_at, payload, content_type
        FROM millrace.read_events($1)
        """

    /// Runs an append in a transaction, and writes what serves now with what it stored. Nothing is written for what was stored before.
    func append(
        _ request: AppendRequest,
        to store: EventStore,
        in transaction: PostgresTransaction,
        _ append: () async throws -> AppendResult
    ) async throws -> AppendResult {
        let answers = try await transaction.pipeline([
            PostgresCall(InlineProjections.settings, []),
            PostgresCall(
                InlineProjections.begin,
                [.textArray(projections.map(\.name)), .int4Array(projections.map { Int32(clamping: $0.version) })]
            ),
        ])
        let (path, declared) = try answers[0].single().decode(String.self, String.self)
        let serving = try answers[1].map { try Serving($0, projections) }
            .filter { serving in request.entries.contains(where: serving.wants) }
        let result = try await append()
        // What the transaction appends by other ways is not projected by this one.
        try await transaction.query(InlineProjections.setDeclared, [.text(declared)])
        guard !result.wasRepeated, !serving.isEmpty else { return result }

        let positions = PostgresValue.int8Array(result.events.map(\.position.rawValue))
        // As they are stored, so that they are to a projection what they will be when it is built anew.
        let stored = try await transaction.query(InlineProjections.events, [positions]).map {
            try RecordedEvent($0, firstColumn: 0)
        }
        let events = try await store.vault?.openAll(stored) ?? stored
        for serving in serving {
            if let function = serving.function {
                try await transaction.query(
                    InlineProjections.project,
                    [.text(serving.handler), .text(function), positions]
                )
            } else if let projection = serving.projection {
                let lifted = try events.flatMap { try store.upcasters.lift($0, matching: projection.filter) }
                try await write(lifted, projection, serving.handler, store, transaction)
                try await transaction.query(InlineProjections.setPath, [.text(path)])
            }
        }
        return result
    }

    private func write(
        _ events: [RecordedEvent],
        _ projection: Projection,
        _ handler: String,
        _ store: EventStore,
        _ transaction: PostgresTransaction
    ) async throws {
        _ = try await ProjectionGeneration.enter(handler, lane: 0, in: transaction)
        try await projection.write(
            events,
            ProjectionContext(
                transaction: transaction,
                store: store,
                projection: projection.name,
                version: projection.version,
                // What is appended now has its effects now.
                silentTo: .start
            )
        )
    }
}
