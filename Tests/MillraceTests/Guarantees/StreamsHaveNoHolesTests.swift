import Millrace
import MillracePostgres
import Testing

/// Whoever reads a stream while it is written gets a beginning of it, or backwards an end: no version is left out between
/// two that are there.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct StreamsHaveNoHolesTests {
    private static let publishers = 8
    private static let each = 800
    private static let readers = 4
    private static let pageSize = 50

    @Test func whileEightPublishToTheSameOne() async throws {
        try await withStore(connections: Self.publishers + Self.readers) { store in
            let writing = Counter()
            writing.increment(by: Self.publishers)
            let reads = Counter()
            let holes = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for publisher in 0..<Self.publishers {
                    group.addTask {
                        defer { writing.increment(by: -1) }
                        for _ in 0..<Self.each { try await Self.publish(store.client, inOneCall: publisher % 4 > 0) }
                    }
                }
                for reader in 0..<Self.readers {
                    group.addTask {
                        repeat {
                            let versions = try await Self.page(store.client, backwards: reader % 2 == 1)
                            if !Self.hasNoHoles(versions, backwards: reader % 2 == 1) { holes.increment() }
                            reads.increment()
                        } while writing.value > 0
                    }
                }
                try await group.waitForAll()
            }
            #expect(holes.value == 0, "of \(reads.value) reads")
            let audit = try await LogAudit(of: store.client)
            #expect(audit.log.count == Self.publishers * Self.each * 5 / 4)
            #expect(audit.brokenStreams.isEmpty)
            print(
                "StreamsHaveNoHoles: \(reads.value) reads beside \(audit.log.count) events, \(holes.value) with holes"
            )
        }
    }

    /// A publisher that waited for the row's lock gives its event no earlier time than the one it waited for did.
    @Test func andTheLaterVersionIsNotTheEarlierOneInTime() async throws {
        try await withStore(connections: Self.publishers) { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.publishers {
                    group.addTask {
                        for _ in 0..<100 { try await Self.publish(store.client, inOneCall: true) }
                    }
                }
                try await group.waitForAll()
            }
            let back = try await store.client.query(
                """
                SELECT count(*)
                FROM millrace.events AS e
                JOIN millrace.events AS f ON f.aggregate_type = e.aggregate_type AND f.aggregate_id = e.aggregate_id
                    AND f.version = e.version + 1 AND f.created_at < e.created_at
                """
            )
            #expect(try back[0].decode(Int64.self, at: 0) == 0)
        }
    }

    private static func publish(_ client: PostgresClient, inOneCall: Bool) async throws {
        try await client.query(
            inOneCall
                ? "SELECT millrace.publish_event('e', 'hot', 's', '{}')"
                : "SELECT millrace.append_events('{1,1}', '{e,e}', '{s,s}', '{hot,hot}', ARRAY['{}', '{}']::jsonb[])"
        )
    }

    /// From the end where the writers are; a page of the last versions that the stream's row promised a moment ago.
    private static func page(_ client: PostgresClient, backwards: Bool) async throws -> [Int32] {
        let page: PostgresStatement =
            backwards
            ? "SELECT r.version FROM millrace.read_stream('s', 'hot', NULL, $1, true) AS r"
            : """
            SELECT r.version
            FROM millrace.streams AS s
            CROSS JOIN LATERAL millrace.read_stream('s', 'hot', greatest(s.version - $1 / 2, 1), $1) AS r
            WHERE s.aggregate_type = 's' AND s.aggregate_id = 'hot'
            """
        return try await client.query(page, [.int4(Int32(pageSize))]).map { try $0.decode(Int32.self, at: 0) }
    }

    private static func hasNoHoles(_ versions: [Int32], backwards: Bool) -> Bool {
        let ascending = backwards ? versions.reversed() : versions
        return zip(ascending, ascending.dropFirst()).allSatisfy { $0 + 1 == $1 }
    }
}
