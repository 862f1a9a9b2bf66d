import Millrace
package import MillracePostgres

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// A handler whose events are settled by hand, one by one, through the functions that every worker calls.
package struct HandWorker: Sendable {
    package static let name = "hand:1"

    package let client: PostgresClient
    package let handler: String
    package let id: UUID

    package init(_ client: PostgresClient, _ handler: String, id: UUID = UUID()) {
        self.client = client
        self.handler = handler
        self.id = id
    }

    /// Makes the handler known, from the beginning of the log on.
    package func register(
        types: [String]? = nil,
        aggregateTypes: [String]? = nil,
        lanes: Int = 4,
        parkedLimit: Int = 1_000
    ) async throws {
        try await client.query(
            "SELECT millrace.register_handler($1, 'swift', NULL, $2, $3, $4, 0, 'all', 3, 100, 1000, $5)",
            [
                .text(handler), .textArray(types), .textArray(aggregateTypes), .int4(Int32(lanes)),
                .int4(Int32(parkedLimit)),
            ]
        )
    }

    /// Takes all the lanes that it can get.
    @discardableResult
    package func lease(for time: Duration = .seconds(3_600)) async throws -> [Int: Int64] {
        let rows = try await client.query(
            "SELECT lane, token FROM millrace.lease_lanes($1, $2, $3, $4, '{}', '{}', '{}') WHERE verdict = 'leased'",
            [.text(handler), .uuid(id), .text(HandWorker.name), .int4(Int32(time / .milliseconds(1)))]
        )
        var tokens: [Int: Int64] = [:]
        for row in rows { tokens[try row.decode(Int.self, at: 0)] = try row.decode(Int64.self, at: 1) }
        return tokens
    }

    /// Settles the event at a position as handled, in the lane of its stream, under the token that the lane has now or a given one.
    package func succeed(
        _ position: Int64,
        token: Int64? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws {
        try await settle(position, processed: 1, status: "success", token: token, in: session) { _ in nil }
    }

    /// Settles it as failed: parked, or tried again after a wait.
    package func fail(
        _ position: Int64,
        error: String = "boom",
        kind: String = "Test",
        attempts: Int = 3,
        retryIn wait: Duration? = nil,
        waiting: Int = 0,
        token: Int64? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws {
        try await settle(
            position,
            processed: 0,
            status: wait == nil ? "parked" : "retrying",
            attempts: attempts,
            error: error,
            token: token,
            in: session
        ) { event in
            try JSON(
                encoding: [
                    Failure(
                        change: "fail",
                        aggregate_type: event.stream.aggregateType,
                        aggregate_id: event.stream.aggregateID,
                        position: position,
                        event_id: event.id.uuidString,
                        event_type: event.type,
                        version: event.version,
                        attempts: attempts,
                        error: error,
                        error_kind: kind,
                        wait_ms: wait.map { Int($0 / .milliseconds(1)) },
                        waiting: waiting
                    )
                ]
            )
        }
    }

    /// Settles it as waiting behind the head of its stream.
    package func passBy(_ position: Int64) async throws {
        try await settle(position, processed: 0, status: nil, token: nil, in: nil) { event in
            try JSON(
                encoding: [
                    Passing(
                        change: "wait",
                        aggregate_type: event.stream.aggregateType,
                        aggregate_id: event.stream.aggregateID,
                        waiting: 1
                    )
                ]
            )
        }
    }

    private struct Failure: Encodable {
        let change: String
        let aggregate_type: String
        let aggregate_id: String
        let position: Int64
        let event_id: String
        let event_type: String
        let version: Int
        let attempts: Int
        let error: String
        let error_kind: String
        let wait_ms: Int?
        let waiting: Int
    }

    private struct Passing: Encodable {
        let change: String
        let aggregate_type: String
        let aggregate_id: String
        let waiting: Int
    }

    private struct Event {
        let id: UUID
        let type: String
        let stream: StreamID
        let version: Int
    }

    private func settle(
        _ position: Int64,
        processed: Int64,
        status: String?,
        attempts: Int = 1,
        error: String? = nil,
        token: Int64?,
        in session: (any PostgresSession)?,
        _ change: (Event) throws -> JSON?
    ) async throws {
        let session: any PostgresSession = session ?? client
        let row = try await session.query(
            """
            SELECT e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version
            FROM millrace.events AS e WHERE e.id = $1
            """,
            [.int8(position)]
        ).single()
        let event = Event(
            id: try row.decode(UUID.self, at: 0),
            type: try row.decode(String.self, at: 1),
            stream: StreamID(try row.decode(String.self, at: 2), try row.decode(String.self, at: 3)),
            version: try row.decode(Int.self, at: 4)
        )
        let isAudited = status != nil
        try await session.query(
            """
            SELECT millrace.settle_lane(
                $1, l.lane, coalesce($2, l.token), greatest(l.checkpoint, $3), clock_timestamp(), $4,
                ARRAY[$5], ARRAY[$6, 0, 1, 1000], array_fill(0::bigint, ARRAY[19]) || $6::bigint || array_fill(0::bigint, ARRAY[44]),
                $7, $8, $9, $10, $11, $12, $13, $14
            )
            FROM millrace.handler_lanes AS l
            JOIN millrace.event_handlers AS h ON h.handler_id = l.handler_id
            WHERE l.handler_id = $1 AND l.lane = millrace.lane_of($15, $16, h.lanes)
            """,
            [
                .text(handler), .int8(token), .int8(position), .text(HandWorker.name), .text(event.type),
                .int8(processed),
                .int8Array(isAudited ? [position] : []), .uuidArray(isAudited ? [event.id] : []),
                .textArray(isAudited ? [event.type] : []), .int4Array(isAudited ? [Int32(attempts)] : []),
                .textArray(isAudited ? [status] : []), .textArray(isAudited ? [error] : []),
                .int8Array(isAudited ? [1_000] : []), .jsonb(try change(event)?.utf8),
                .text(event.stream.aggregateType), .text(event.stream.aggregateID),
            ]
        )
    }
}
