import MillracePostgres

/// Where the lanes of the generation that serves are, for one that is being built beside it: it passes none of them, so that it can be
/// equal to it. Asked for all lanes at once, and not more often than at a beat.
actor FollowedLanes {
    static let beat = Duration.milliseconds(20)

    private let handler: String
    private let lanes: Int
    private let client: PostgresClient
    private var asked: (at: ContinuousClock.Instant, answer: Task<[Position?], any Error>)?

    init(_ handler: String, lanes: Int, client: PostgresClient) {
        self.handler = handler
        self.lanes = lanes
        self.client = client
    }

    private static let positions: PostgresStatement = """
        SELECT lane, millrace.followed_position($1, lane) FROM generate_series(0, $2 - 1) AS lane ORDER BY lane
        """

    /// Up to where a lane may go now; nil: anywhere. One round trip for all lanes that ask within a beat.
    func limit(of lane: Int) async throws -> Position? {
        let answer: Task<[Position?], any Error>
        if let asked, asked.at + FollowedLanes.beat > .now {
            answer = asked.answer
        } else {
            answer = Task { [client, handler, lanes] in
                try await client.query(FollowedLanes.positions, [.text(handler), .int4(Int32(lanes))]).map { row in
                    try row.decode(Int64?.self, at: 1).map { Position($0) }
                }
            }
            asked = (.now, answer)
        }
        return try await answer.value[lane]
    }
}
