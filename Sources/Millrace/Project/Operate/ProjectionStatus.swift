import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A generation of a projection at a moment: one time that its tables were built.
public struct ProjectionStatus: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, Codable, CaseIterable {
        /// Its tables are being filled; nobody reads them.
        case building
        /// The views show it.
        case serving
        /// It has served, and can be gone back to; nobody writes it.
        case kept
    }

    public enum Purpose: String, Sendable, Hashable, Codable, CaseIterable {
        /// Takes the place of the one that serves.
        case serve
        /// Is compared with it, and never serves.
        case verify
    }

    public let projection: String
    public let mode: Projection.Mode
    /// The schema that its views are in.
    public let publishedIn: String
    /// From 1, in the order in which they were asked for.
    public let generation: Int
    /// Of the code that writes it.
    public let version: Int
    public let state: State
    public let purpose: Purpose
    /// Of each thousand streams so many are projected.
    public let sample: Int
    /// The handler that its checkpoints, counters and waiting streams are kept under.
    public let handler: String
    /// The schema that its tables are in.
    public let schema: String
    /// The functions in the database that write it, a stage each; nil: Swift does.
    public let functions: [String]?
    /// Whether its workers let it serve as soon as it is equal to the one that does.
    public let swapsByItself: Bool
    /// The role that had logged in.
    public let requestedBy: String
    public let requestedAt: Date
    /// When it began to serve last.
    public let servedAt: Date?
    /// When another took its place; nil while none has.
    public let replacedAt: Date?
    public let handlerState: HandlerState
    /// Why its handler is paused or stopped.
    public let handlerReason: String?
    /// Processes that offer to write it at this moment.
    public let workers: Int
    /// Events that are in it; nil where the appends write it.
    public let processed: Int64?
    /// Events that are to come; nil where the appends write it.
    public let pending: EventCount?
    /// Streams that wait for an event that failed.
    public let waitingStreams: Int64
    /// Of its tables with their indexes.
    public let bytes: Int64

    /// Of its events, how many are in it, 0 to 1; nil where the appends write it. Where ``pending`` is not exact, so many at the most.
    public var share: Double? {
        guard let processed, let pending else { return nil }
        let all = processed + pending.events
        return all == 0 ? 1 : Double(processed) / Double(all)
    }
}

extension ProjectionStatus {
    static let columns = """
        projection, mode, published_in, generation, version, state, purpose, sample, handler_id, schema_name, functions, swaps_by_itself,
        requested_by, requested_at, served_at, replaced_at, handler_state, handler_reason, workers, processed, pending, is_exact,
        waiting_streams, bytes
        """

    init(_ row: PostgresRow) throws {
        projection = try row.decode(String.self, named: "projection")
        mode = try row.word("mode")
        publishedIn = try row.decode(String.self, named: "published_in")
        generation = try row.decode(Int.self, named: "generation")
        version = try row.decode(Int.self, named: "version")
        state = try row.word("state")
        purpose = try row.word("purpose")
        sample = try row.decode(Int.self, named: "sample")
        handler = try row.decode(String.self, named: "handler_id")
        schema = try row.decode(String.self, named: "schema_name")
        functions = try row.decode([String]?.self, named: "functions")
        swapsByItself = try row.decode(Bool.self, named: "swaps_by_itself")
        requestedBy = try row.decode(String.self, named: "requested_by")
        requestedAt = try row.decode(Date.self, named: "requested_at")
        servedAt = try row.decode(Date?.self, named: "served_at")
        replacedAt = try row.decode(Date?.self, named: "replaced_at")
        handlerState = try row.word("handler_state")
        handlerReason = try row.decode(String?.self, named: "handler_reason")
        workers = try row.decode(Int.self, named: "workers")
        processed = try row.decode(Int64?.self, named: "processed")
        let isExact = try row.decode(Bool.self, named: "is_exact")
        pending = try row.decode(Int64?.self, named: "pending").map { EventCount(events: $0, isExact: isExact) }
        waitingStreams = try row.decode(Int64.self, named: "waiting_streams")
        bytes = try row.decode(Int64.self, named: "bytes")
    }
}
