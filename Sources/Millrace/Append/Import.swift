import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// How far a named import has come, as the database knows it.
public struct ImportProgress: Sendable, Hashable {
    /// Input lines dealt with (stored, empty or set aside), counted from the input's beginning.
    public let lines: Int64
    /// The hash over exactly those lines that the importing program gave: what proves that an input is the same.
    public let prefixHash: [UInt8]
    /// Events stored by this import; those that were stored before it are not among them.
    public let eventsStored: Int64
    public let startedAt: Date
    public let updatedAt: Date
    /// When its input's end was reached; nil while it is not.
    public let finishedAt: Date?
}

/// Lines of newline-delimited JSON that follow one another in an import's input, each an event:
/// `event_type`, `aggregate_type`, `aggregate_id`, `event_data`, and optionally `occurred_at` (RFC 3339), `metadata`,
/// `event_id`, `payload` (base64) and `content_type`.
public struct ImportChunk: Sendable, Hashable {
    public let name: String
    /// How many lines of the input were dealt with before this chunk: where the import must be.
    public let resumesAfter: Int64
    /// How many lines are dealt with once this chunk is stored.
    public let through: Int64
    /// Over all lines up to and including `through`.
    public let prefixHash: [UInt8]
    /// The lines to store: those between, without empty ones and those that are set aside.
    public let lines: [[UInt8]]
    /// Whether the input ends here.
    public let isLast: Bool

    public init(
        name: String,
        resumesAfter: Int64,
        through: Int64,
        prefixHash: [UInt8],
        lines: [[UInt8]],
        isLast: Bool
    ) {
        self.name = name
        self.resumesAfter = resumesAfter
        self.through = through
        self.prefixHash = prefixHash
        self.lines = lines
        self.isLast = isLast
    }
}

/// What became of a chunk's lines.
public struct ImportedChunk: Sendable, Hashable {
    public let stored: Int
    /// Events whose id their stream had already: nothing was stored for them.
    public let repeated: Int
}

/// A line of an import that is no event the store can hold.
public struct RefusedLine: Sendable, Hashable {
    /// Counted from 0 within the lines that were asked about.
    public let index: Int
    public let reason: String
}

extension EventStore {
    /// How far the import of this name has come; nil where there is none. One round trip.
    public func importProgress(of name: String) async throws -> ImportProgress? {
        try await EventStoreError.translating {
            guard let row = try await client.query(Statements.readImport, [.text(name)]).first else { return nil }
            return ImportProgress(
                lines: try row.decode(Int64.self, at: 0),
                prefixHash: try row.decode([UInt8].self, at: 1),
                eventsStored: try row.decode(Int64.self, at: 2),
                startedAt: try row.decode(Date.self, at: 3),
                updatedAt: try row.decode(Date.self, at: 4),
                finishedAt: try row.decode(Date?.self, at: 5)
            )
        }
    }

    /// Stores a chunk's events, in their order, and moves the import's progress with them: both or neither, so that a
    /// chunk is stored once however often it is tried. One round trip, one transaction.
    ///
    /// Throws ``EventStoreError/invalidEvent(_:hint:)`` where any line is refused (``refusals(of:)`` says which), and
    /// ``EventStoreError/postgres(_:)`` with SQLSTATE MR012 where the import is not at `resumesAfter` (any more). After a
    /// lost connection ``importProgress(of:)`` says whether the chunk is stored.
    public func importLines(_ chunk: ImportChunk) async throws -> ImportedChunk {
        try await EventStoreError.translating {
            let row = try await client.query(
                Statements.importLines,
                [
                    .text(chunk.name), .int8(chunk.resumesAfter), .int8(chunk.through), .bytea(chunk.prefixHash),
                    .jsonbArray(chunk.lines), .bool(chunk.isLast),
                ]
            ).single()
            if let position = try row.decode(Int64?.self, at: 2) { announce(Position(position)) }
            return ImportedChunk(
                stored: Int(try row.decode(Int64.self, at: 0)),
                repeated: Int(try row.decode(Int64.self, at: 1))
            )
        }
    }

    /// Which of these lines ``importLines(_:)`` refuses, and why, in their order; stores nothing. One round trip.
    public func refusals(of lines: [[UInt8]]) async throws -> [RefusedLine] {
        try await EventStoreError.translating {
            try await client.query(Statements.checkImportLines, [.byteaArray(lines)]).map { row in
                RefusedLine(
                    index: Int(try row.decode(Int32.self, at: 0)) - 1,
                    reason: try row.decode(String.self, at: 1)
                )
            }
        }
    }
}
