import MillracePostgres

/// A range of the log that a lane handles once more, because an operator asked for it, beside what is new.
struct LaneReplay: Sendable, Hashable {
    let id: Int64
    /// Where it is in this lane.
    let position: Position
    let last: Position

    private static let load: PostgresStatement = """
        SELECT r.replay_id, l.checkpoint, r.last_position
        FROM millrace.handler_replays AS r
        JOIN millrace.handler_replay_lanes AS l ON l.replay_id = r.replay_id
        WHERE r.handler_id = $1 AND l.lane = $2 AND r.cancelled_at IS NULL AND l.checkpoint < r.last_position
        ORDER BY r.replay_id
        LIMIT 1
        """

    /// The first that is not finished in a lane. One round trip.
    static func next(of handler: String, lane: Int, in client: PostgresClient) async throws -> LaneReplay? {
        try await client.query(load, [.text(handler), .int4(Int32(lane))]).first.map { row in
            LaneReplay(
                id: try row.decode(Int64.self, at: 0),
                position: Position(try row.decode(Int64.self, at: 1)),
                last: Position(try row.decode(Int64.self, at: 2))
            )
        }
    }

    /// The next events of it that a handler wants in a lane, and up to where that is.
    func page(of handler: Handler, lane: Int, in store: EventStore) async throws -> LanePage {
        let limit = handler.options.batchSize
        let page = try await store.readStoredPage(
            after: position,
            matching: handler.filter,
            limits: PageLimits(events: limit, scanned: limit * handler.options.lanes)
        )
        let events = page.events.filter { $0.position <= last && $0.lane(of: handler.options.lanes) == lane }
        // The log may end before the range does, where its last events were of no commit.
        let end = page.isLast ? last : min(page.scannedTo, last)
        return LanePage(events: events, scannedTo: end)
    }
}
