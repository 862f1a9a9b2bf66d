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
        try await settle(position, Ending(status: "success", attempts: 1, processed: 1), token, session)
    }

    /// Settles it as failed: parked, or tried again after a wait.
    package func fail(
        _ position: Int64,
        error: String = "boom",
        attempts: Int = 3,
        retryIn wait: Duration? = nil,
        waiting: Int = 0,
        token: Int64? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws {
        var ending = Ending(status: wait == nil ? "parked" : "retrying", attempts: attempts)
        ending.change = "fail"
        ending.error = error
        ending.wait = wait
        ending.waiting = waiting
        try await settle(position, ending, token, session)
    }

    /// Settles it as waiting behind the head of its stream.
    package func passBy(_ position: Int64) async throws {
        var ending = Ending(status: nil, attempts: 1)
        ending.change = "wait"
        ending.waiting = 1
        try await settle(position, ending, nil, nil)
    }

    private struct Ending {
        /// nil: it was not handled.
        let status: String?
        let attempts: Int
        var processed: Int64 = 0
        var change: String?
        var error: String?
        var wait: Duration?
        var waiting = 0
    }

    private static let settleEvent: PostgresStatement = """
        SELECT millrace.settle_lane(
            l.handler_id, l.lane, coalesce($3, l.token), greatest(l.checkpoint, e.id), clock_timestamp(), $4,
            ARRAY[e.event_type], ARRAY[$5::bigint, 0, 1, 1000],
            array_fill(0::bigint, ARRAY[19]) || $5::bigint || array_fill(0::bigint, ARRAY[44]),
            CASE WHEN a.is_kept THEN ARRAY[e.id] ELSE '{}' END,
            CASE WHEN a.is_kept THEN ARRAY[e.event_id] ELSE '{}' END,
            CASE WHEN a.is_kept THEN ARRAY[e.event_type] ELSE '{}' END,
            CASE WHEN a.is_kept THEN ARRAY[$7::int] ELSE '{}' END,
            CASE WHEN a.is_kept THEN ARRAY[$6::text] ELSE '{}' END,
            CASE WHEN a.is_kept THEN ARRAY[$8::text] ELSE '{}' END,
            CASE WHEN a.is_kept THEN ARRAY[1000::bigint] ELSE '{}' END,
            CASE WHEN $9::text IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
                'change', $9::text, 'aggregate_type', e.aggregate_type, 'aggregate_id', e.aggregate_id, 'position', e.id,
                'event_id', e.event_id, 'event_type', e.event_type, 'version', e.version, 'attempts', $7::int, 'error', $8::text,
                'error_kind', 'Test', 'wait_ms', $10::bigint, 'waiting', $11::bigint
            )) END
        )
        FROM millrace.events AS e
        JOIN millrace.event_handlers AS h ON h.handler_id = $1
        JOIN millrace.handler_lanes AS l
            ON l.handler_id = h.handler_id AND l.lane = millrace.lane_of(e.aggregate_type, e.aggregate_id, h.lanes)
        CROSS JOIN (SELECT $6::text IS NOT NULL AS is_kept) AS a
        WHERE e.id = $2
        """

    private func settle(
        _ position: Int64,
        _ ending: Ending,
        _ token: Int64?,
        _ session: (any PostgresSession)?
    ) async throws {
        let rows = try await (session ?? client).query(
            HandWorker.settleEvent,
            [
                .text(handler), .int8(position), .int8(token), .text(HandWorker.name), .int8(ending.processed),
                .text(ending.status), .int4(Int32(ending.attempts)), .text(ending.error), .text(ending.change),
                .int8(ending.wait.map { Int64($0 / .milliseconds(1)) }), .int8(Int64(ending.waiting)),
            ]
        )
        _ = try rows.single()
    }
}
