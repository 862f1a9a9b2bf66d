import Foundation
import Millrace
import MillracePostgres
import Testing

/// Imports write to the log without append_events. Beside each other and beside publishers, on the same streams, they leave no
/// hole and no double, store everything once, in each stream in the input's order, and hide nothing from subscribers.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct ImportsKeepStreamsWholeTests {
    private static let imports = 3
    private static let each = 4_000
    private static let publishers = 4
    private static let streams = 40
    private static let endType = "imports.end"

    @Test func besideEachOtherAndBesidePublishers() async throws {
        try await withStore(connections: 30) { store in
            let sightings = Sightings(of: "subscriber")
            let importing = Counter()
            importing.increment(by: Self.imports)
            let published = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await element in store.subscribe(from: .start) {
                        guard case .event(let event) = element else { continue }
                        sightings.note(event)
                        if event.type == Self.endType { return }
                    }
                }
                try await withThrowingTaskGroup(of: Void.self) { writers in
                    for number in 0..<Self.imports {
                        writers.addTask {
                            defer { importing.increment(by: -1) }
                            let summary = try await store.importEvents(
                                from: Self.events(of: number),
                                named: "import \(number)",
                                limits: ImportLimits(events: 250 + 50 * number)
                            )
                            #expect(summary == ImportSummary(stored: Int64(Self.each)))
                        }
                    }
                    for publisher in 0..<Self.publishers {
                        writers.addTask {
                            var dice = Dice(seed: Dice.seed &+ UInt64(publisher))
                            while importing.value > 0 {
                                let stream = StreamID("shared", "\(Int.random(in: 0..<Self.streams, using: &dice))")
                                try await store.append([NewEvent(type: "published", data: .null)], to: stream)
                                published.increment()
                            }
                        }
                    }
                    try await writers.waitForAll()
                }
                try await store.append([NewEvent(type: Self.endType, data: .null)], to: StreamID("end", "end"))
                try await group.waitForAll()
            }
            let audit = try await LogAudit(of: store.client)
            #expect(audit.log.count == Self.imports * Self.each + published.value + 1)
            #expect(audit.brokenStreams.isEmpty)
            let findings = audit.findings(on: sightings)
            #expect(findings.isClean, "\(findings)")
            try await Self.expectOrder(store.client)
            print("ImportsKeepStreamsWhole: \(Self.imports) imports beside \(published.value) published; \(findings)")
        }
    }

    private static func events(of number: Int) -> AsyncStream<ImportEvent> {
        AsyncStream { continuation in
            var dice = Dice(seed: Dice.seed &+ 100 &+ UInt64(number))
            for index in 0..<each {
                let stream = StreamID("shared", "\(Int.random(in: 0..<streams, using: &dice))")
                continuation.yield(
                    ImportEvent(NewEvent(type: "import.\(number)", data: JSON("\(index)")), to: stream)
                )
            }
            continuation.finish()
        }
    }

    /// Within every stream each import's events are in the order in which it gave them, and time does not go back.
    private static func expectOrder(_ client: PostgresClient) async throws {
        let disordered = try await client.text(
            """
            SELECT count(*)::text
            FROM (
                SELECT e.event_data::int < lag(e.event_data::int) OVER (
                    PARTITION BY e.aggregate_id, e.event_type ORDER BY e.version
                ) AS is_back
                FROM millrace.events AS e WHERE e.event_type LIKE 'import.%' AND e.aggregate_type = 'shared'
            ) AS n
            WHERE n.is_back
            """
        )
        #expect(disordered == "0")
        let outside = try await client.text(
            """
            SELECT count(*)::text
            FROM (
                SELECT e.created_at < lag(e.created_at) OVER (PARTITION BY e.aggregate_type, e.aggregate_id ORDER BY e.version)
                    OR e.created_at NOT BETWEEN s.first_event_at AND s.last_event_at AS is_wrong
                FROM millrace.events AS e JOIN millrace.streams AS s USING (aggregate_type, aggregate_id)
            ) AS n
            WHERE n.is_wrong
            """
        )
        #expect(outside == "0")
    }

    // MARK: A chunk that is not what was announced

    private static let begin =
        "SELECT stored_at::text FROM millrace.begin_import_chunk('{o,o}', '{1,2}', '{2,1}', '{a}', 10)"
    private static let finish = "SELECT millrace.finish_import_chunk('x', 0, 3, '\\x01')"

    private static func insert(_ rows: String) -> String {
        """
        INSERT INTO millrace.events
            (id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at)
        SELECT n.id, uuidv7(), 'a', 'o', n.stream, n.version, '{}', c.stored_at, c.stored_at
        FROM millrace.announced_chunks AS c, (VALUES \(rows)) AS n (id, stream, version)
        """
    }

    /// Positions 1 to 3 are announced: two events of stream 1, one of stream 2.
    @Test(arguments: [
        ("(1, '1', 1), (2, '1', 2)", "but 2 are there"),
        ("(1, '1', 1), (2, '1', 2), (3, '2', 2)", "other positions or versions"),
    ])
    func aWrongChunkIsRefused(rows: String, words: String) async throws {
        try await withStore { store in
            try await expectRefusal("MR014", words) {
                try await store.client.withTransaction { transaction in
                    try await transaction.run(Self.begin)
                    try await transaction.run(Self.insert(rows))
                    try await transaction.run(Self.finish)
                }
            }
            try await Self.expectNothing(store)
        }
    }

    @Test func aChunkThatIsNotFinishedIsNotCommitted() async throws {
        try await withStore { store in
            try await expectRefusal("MR014", "did not finish") {
                try await store.client.withTransaction { transaction in
                    try await transaction.run(Self.begin)
                    try await transaction.run(Self.insert("(1, '1', 1), (2, '1', 2), (3, '2', 1)"))
                }
            }
            try await Self.expectNothing(store)
            try await expectRefusal("MR014", "has announced no chunk") {
                try await store.client.run(Self.finish)
            }
            // Two chunks in a transaction, the second one left open.
            try await expectRefusal("MR014", "did not finish") {
                try await store.client.withTransaction { transaction in
                    try await transaction.run(Self.begin)
                    let first = try await transaction.text("SELECT first_position::text FROM millrace.announced_chunks")
                    let id = try #require(first.flatMap(Int.init))
                    try await transaction.run(Self.insert("(\(id), '1', 1), (\(id + 1), '1', 2), (\(id + 2), '2', 1)"))
                    try await transaction.run(Self.finish)
                    try await transaction.run(Self.begin)
                }
            }
            try await Self.expectNothing(store)
        }
    }

    /// As a session that has the role and nothing else. It cannot have gone as lines: those it may not call.
    @Test func anImporterNeedsNothingButItsRole() async throws {
        try await withStore { store in
            try await store.client.run(
                "REVOKE EXECUTE ON FUNCTION millrace.import_lines(text, bigint, bigint, bytea, jsonb[], boolean) FROM millrace_importer"
            )
            var configuration = store.client.configuration
            configuration.sessionSettings["role"] = "millrace_importer"
            try await withClient(configuration) { client in
                let summary = try await EventStore(client).importEvents(
                    from: Self.events(of: 0),
                    named: "theirs",
                    limits: ImportLimits(events: 1_500)
                )
                #expect(summary == ImportSummary(stored: Int64(Self.each)))
            }
            #expect(try await LogAudit(of: store.client).brokenStreams.isEmpty)
        }
    }

    /// Who may not COPY imports all the same.
    @Test func anAdministratorImportsAsLines() async throws {
        try await withStore { store in
            var configuration = store.client.configuration
            configuration.sessionSettings["role"] = "millrace_admin"
            try await withClient(configuration) { client in
                let summary = try await EventStore(client).importEvents(from: Self.events(of: 0), named: "theirs")
                #expect(summary == ImportSummary(stored: Int64(Self.each)))
            }
            #expect(try await LogAudit(of: store.client).brokenStreams.isEmpty)
        }
    }

    private static func expectNothing(_ store: EventStore) async throws {
        let left = try await store.client.text(
            """
            SELECT ((SELECT count(*) FROM millrace.events) + (SELECT count(*) FROM millrace.streams)
                + (SELECT count(*) FROM millrace.imports) + (SELECT count(*) FROM millrace.announced_chunks))::text
            """
        )
        #expect(left == "0")
    }
}
