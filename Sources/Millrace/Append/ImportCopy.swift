import Logging
import MillracePostgres

/// Where a chunk lies in its import's input, and what is known of the input up to there.
package struct ImportStep: Sendable {
    let name: String
    /// How many lines were dealt with before, and how many once the chunk is stored.
    let resumesAfter: Int64
    let through: Int64
    let prefixHash: [UInt8]
    let isLast: Bool

    package init(name: String, resumesAfter: Int64, through: Int64, prefixHash: [UInt8], isLast: Bool) {
        self.name = name
        self.resumesAfter = resumesAfter
        self.through = through
        self.prefixHash = prefixHash
        self.isLast = isLast
    }
}

extension EventStore {
    /// Stores a chunk by COPY, where it was encoded for it and the database takes it like this; else as lines, which takes
    /// longer, passes over events that are stored already, and knows what is wrong. As ``importLines(_:)`` otherwise.
    package func importChunk(
        _ step: ImportStep,
        _ rows: ImportRows?,
        lines: () throws -> [[UInt8]]
    ) async throws -> ImportedChunk {
        if let rows {
            do {
                return try await importRows(rows, step)
            } catch let error as EventStoreError where EventStore.mayBeTakenAsLines(error) {
                logger.debug("a chunk is imported as lines", metadata: ["error": "\(error)"])
            }
        }
        return try await importLines(
            ImportChunk(
                name: step.name,
                resumesAfter: step.resumesAfter,
                through: step.through,
                prefixHash: step.prefixHash,
                lines: try lines(),
                isLast: step.isLast
            )
        )
    }

    /// Nothing of the chunk is stored, for a reason that is about its events; or whoever imports may not COPY.
    private static func mayBeTakenAsLines(_ error: EventStoreError) -> Bool {
        switch error {
        case .invalidEvent, .partlyRepeated: true
        case .postgres(.server(let server)):
            ["22", "23", "54"].contains(server.sqlState.errorClass) || server.sqlState == .insufficientPrivilege
                || server.sqlState == .millraceChunkUnfinished
        case .postgres, .versionConflict, .outcomeUnknown, .cannotReadLog, .unknownEpoch, .handlerRefused,
            .projectionRefused, .ledgerRefused, .notMigrated:
            false
        }
    }

    /// Stores a chunk's events by COPY, in their order, and moves the import's progress with them: both or neither.
    /// One transaction, five round trips.
    ///
    /// Whatever the database does not take this way is an error, and nothing of the chunk is stored: also events whose ids are
    /// stored already. ``importLines(_:)`` does the same for any lines, an event at a time.
    package func importRows(_ rows: consuming ImportRows, _ step: ImportStep) async throws -> ImportedChunk {
        var rows = rows
        return try await EventStoreError.translating {
            let (stored, position) = try await client.withTransaction { transaction in
                let begun = try await transaction.query(Statements.beginImportChunk, rows.announcement).single()
                rows.assign(
                    ImportRows.Assignment(
                        baseVersions: try begun.decode([Int32].self, at: 0),
                        positions: try begun.decode([Int64].self, at: 1),
                        storedAt: try begun.decode(Int64.self, at: 2)
                    )
                )
                let blocks = rows.blocks
                try await transaction.copyIn(Statements.copyEvents) { writer in
                    for block in blocks { try await writer.write(block) }
                    try await writer.write(ImportRows.trailer)
                }
                let finished = try await transaction.query(
                    Statements.finishImportChunk,
                    [
                        .text(step.name), .int8(step.resumesAfter), .int8(step.through), .bytea(step.prefixHash),
                        .bool(step.isLast),
                    ]
                ).single()
                return (try finished.decode(Int64.self, at: 0), try finished.decode(Int64.self, at: 1))
            }
            announce(Position(position))
            return ImportedChunk(stored: Int(stored), repeated: 0)
        }
    }
}

extension Statements {
    /// The time as the wire has it: Foundation's dates do not keep every microsecond.
    static let beginImportChunk: PostgresStatement = """
        SELECT base_versions, positions,
               (extract(epoch FROM stored_at) * 1000000)::bigint - 946684800000000
        FROM millrace.begin_import_chunk($1, $2, $3, $4, $5, $6)
        """
    static let finishImportChunk: PostgresStatement = """
        SELECT stored, last_position FROM millrace.finish_import_chunk($1, $2, $3, $4, $5)
        """
    /// Columns of a fixed length first: see ``ImportRows``.
    static let copyEvents = """
        COPY millrace.events (
            id, version, created_at, occurred_at, event_id, event_type, aggregate_type, aggregate_id, event_data, metadata,
            payload, content_type
        ) FROM STDIN (FORMAT binary)
        """
}
