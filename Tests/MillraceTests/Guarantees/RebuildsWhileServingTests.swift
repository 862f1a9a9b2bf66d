import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// A read model is built anew beside the one that is read, while events go on to come and readers to read, and its workers are killed in the
/// middle of it: nobody sees an error or a step back, and every event is in the new one once.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct RebuildsWhileServingTests {
    private static let quick = WorkerProcess.Options(
        lease: .milliseconds(600),
        beat: .milliseconds(100),
        lanes: 8,
        projects: [1, 2]
    )
    private static let streams = 400
    private static let history = 40

    @Test func killedInTheMiddleItGoesOnFromThere() async throws {
        try await withStore(connections: 16) { store in
            try await Self.publish(store, rounds: Self.history)
            var worker = try await WorkerProcess.start(
                "one",
                on: store.client.configuration.connectionString,
                Self.only([1])
            )
            try await eventually("the first version is registered") {
                try await Self.number(store, "SELECT count(*) FROM millrace.projections") == 1
            }
            try await store.waitUntilProjected(by: "readings")

            let isOver = EndSignal()
            async let published = Self.publishing(store, until: isOver)
            async let read = Self.reading(store, until: isOver)
            // Registered by a process that has both versions, which is killed as soon as it has built a part of the second.
            try await worker.leave()
            var kills = 0
            var built = [Int64(0)]
            worker = try await WorkerProcess.start(
                "both 0",
                on: store.client.configuration.connectionString,
                Self.quick
            )
            while kills < 3 {
                let last = built[kills]
                try await eventually("generation 2 is built further") {
                    try await Self.number(store, Self.builtRows) > last + 100
                }
                try await worker.kill()
                kills += 1
                built.append(try await Self.number(store, Self.builtRows))
                worker = try await WorkerProcess.start(
                    "both \(kills)",
                    on: store.client.configuration.connectionString,
                    Self.quick
                )
            }
            try await store.waitUntilProjected(by: "readings", version: 2, within: .seconds(300))
            isOver.give()
            let events = Self.streams * Self.history + (try await published)
            let looks = try await read
            try await store.waitUntilProjected(by: "readings")
            try await worker.leave()

            // It went on from where it was: no event was handled twice, which the counters would say as well as the primary key.
            let processed = try await Self.number(
                store,
                """
                SELECT sum(c.processed)::bigint FROM millrace.handler_counts AS c
                JOIN millrace.projection_generations AS g ON g.handler_id = c.handler_id WHERE g.generation = 2
                """
            )
            print(
                "RebuildsWhileServing: \(kills) kills, at \(built.dropFirst()) rows; \(events) events, \(processed) projected, \(looks) looks meanwhile"
            )
            #expect(processed == Int64(events))
            #expect(try await Self.number(store, "SELECT count(*) FROM readings WHERE code = 2") == Int64(events))
            #expect(try await Self.number(store, "SELECT count(*) FROM readings WHERE code <> 2") == 0)
            #expect(try await Self.number(store, "SELECT sum(events)::bigint FROM latest") == Int64(events))
            #expect(
                try await Self.number(
                    store,
                    """
                    SELECT count(*) FROM latest AS l JOIN millrace.streams AS s ON s.aggregate_type = 'meter' AND s.aggregate_id = l.stream
                    WHERE l.version = s.version AND l.events = s.version
                    """
                ) == Int64(Self.streams)
            )
            #expect(looks > 0)
        }
    }

    private static let builtRows = """
        SELECT coalesce(sum(c.processed), 0)::bigint FROM millrace.handler_counts AS c WHERE c.handler_id = 'readings@2'
        """

    private static func only(_ versions: [Int]) -> WorkerProcess.Options {
        var options = quick
        options.projects = versions
        return options
    }

    private static func number(_ store: EventStore, _ sql: String) async throws -> Int64 {
        try await store.client.query(PostgresStatement(sql, prepared: false)).single().decode(Int64.self, at: 0)
    }

    private static func publish(_ store: EventStore, rounds: Int) async throws {
        for _ in 0..<rounds {
            var request = AppendRequest()
            for stream in 0..<streams {
                request.append([NewEvent(type: "reading", data: .emptyObject)], to: StreamID("meter", "\(stream)"))
            }
            try await store.append(request)
        }
    }

    /// Goes on publishing; answers how many events.
    private static func publishing(_ store: EventStore, until isOver: EndSignal) async throws -> Int {
        var events = 0
        while !isOver.isGiven {
            try await store.append(
                [NewEvent(type: "reading", data: .emptyObject)],
                to: StreamID("meter", "\(Int.random(in: 0..<streams))")
            )
            events += 1
        }
        return events
    }

    /// Goes on reading what is served, which never has less than before, never mixes two versions and never fails; answers how often.
    private static func reading(_ store: EventStore, until isOver: EndSignal) async throws -> Int {
        var looks = 0
        var before: Int64 = 0
        while !isOver.isGiven {
            let row = try await store.client.query(
                "SELECT count(*), count(DISTINCT code), count(DISTINCT stream) FROM readings"
            ).single()
            let (rows, codes, seen) = try row.decode(Int64.self, Int64.self, Int64.self)
            #expect(rows >= before, "the read model has lost \(before - rows) rows")
            #expect(codes == 1)
            #expect(seen == Int64(streams))
            before = rows
            looks += 1
        }
        return looks
    }
}
