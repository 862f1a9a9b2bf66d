import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

/// An SQL handler's effects stand once for every event, in the order of each stream, whoever processes, and however it ends.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct SQLHandlersHandleOnceTests {
    private static let streams = 30
    private static let events = 2_000
    private static let lanes = 4
    /// Sessions that are ended in the middle of whatever they do.
    private static let kills = 25

    /// Sessions that process given events, run all lanes, lease lanes and run those, and publish, all at once, while functions fail by
    /// chance and sessions are ended.
    @Test func whateverProcessesThemAndIsKilled() async throws {
        try await withStore(connections: 24) { store in
            let client = store.client
            try await Self.prepare(client)
            let published = Counter()
            let killed = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for publisher in 0..<2 {
                    group.addTask { try await Self.publish(client, publisher, counting: published) }
                }
                for worker in 0..<3 {
                    group.addTask {
                        try await Self.repeatUntilDone(client, published) { try await Self.processSome(client, worker) }
                    }
                }
                for _ in 0..<2 {
                    group.addTask {
                        try await Self.repeatUntilDone(client, published) {
                            try await client.run("SELECT millrace.run_sql_handlers(3)")
                        }
                    }
                }
                for _ in 0..<2 {
                    group.addTask {
                        try await Self.repeatUntilDone(client, published) { try await Self.leaseAndRun(client) }
                    }
                }
                group.addTask {
                    while killed.value < Self.kills {
                        if try await Self.isDone(client, published) { return }
                        killed.increment(by: try await Self.killOne(client))
                    }
                }
                try await group.waitForAll()
            }
            #expect(killed.value > 0, "nobody was killed")
            try await Self.expectOnceInOrder(client)
            let ways = try await client.texts(
                """
                SELECT format('%s: %s', w.way, count(*))
                FROM (
                    SELECT split_part(a.worker, ' ', 1) AS way FROM millrace.event_audit AS a WHERE a.status = 'success'
                ) AS w
                GROUP BY w.way ORDER BY w.way
                """
            )
            #expect(ways.count == 3, "every way had its share: \(ways)")
            print(
                "SQLHandlersHandleOnce: \(killed.value) sessions killed; \(ways.compactMap { $0 }.joined(separator: ", "))"
            )
        }
    }

    /// Many sessions are given the same events in the same order at the same time.
    @Test func whereSessionsRaceOverTheSameEvents() async throws {
        let racers = 8
        let events = 120
        try await withStore(connections: racers + 2) { store in
            let client = store.client
            try await Self.prepare(client, failing: false)
            var ids: [String] = []
            for event in 0..<events {
                ids.append(
                    try #require(
                        try await client.text("SELECT millrace.publish_event('t', '\(event % 7)', 's', '{}')::text")
                    )
                )
            }
            let order = ids
            let won = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<racers {
                    group.addTask {
                        for id in order {
                            let mine = try await client.text("SELECT millrace.process_event('\(id)')::text") == "true"
                            if mine { won.increment() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            // A racer that found the lane locked has gone on to the next event; what it left is still there.
            let left = try await client.text(
                "SELECT coalesce(sum(r.handled), 0)::text FROM millrace.run_sql_handlers() AS r"
            )
            #expect(won.value + (Int(left ?? "") ?? 0) == events, "\(won.value) won, \(left ?? "none") left")
            #expect(won.value > 0)
            try await Self.expectOnceInOrder(client)
        }
    }

    /// The session is ended while the function of the third event of a run waits.
    @Test(arguments: [
        "run_sql_handler('h', 0, 0, 'me', 100)", "process_events_batch(ARRAY(SELECT event_id FROM millrace.events))",
    ])
    func whereTheSessionEndsInTheMiddle(call: String) async throws {
        try await withStore { store in
            let client = store.client
            let handling = try await SQLHandling(client)
            try await client.script(
                """
                CREATE FUNCTION public.wait_at_third(event millrace.events) RETURNS text LANGUAGE plpgsql AS $$
                BEGIN
                    IF event.id = 3 THEN
                        PERFORM pg_advisory_xact_lock(1);
                    END IF;
                    RETURN public.note(event);
                END
                $$;
                SELECT millrace.register_sql_handler('h', '{t}', 'public.wait_at_third', p_lanes => 1);
                """
            )
            for _ in 1...4 { try await handling.publish("a") }
            try await client.withConnection { gate in
                try await gate.run("SELECT pg_advisory_lock(1)")
                await #expect(throws: PostgresError.self) {
                    try await client.withConnection { victim in
                        async let handled: Void = victim.run("SELECT millrace.\(call)")
                        try await eventually("the function waits") {
                            try await gate.text(
                                """
                                SELECT count(*)::text FROM pg_stat_activity
                                WHERE pid = \(victim.backendProcessID) AND wait_event = 'advisory'
                                """
                            ) == "1"
                        }
                        try await gate.run("SELECT pg_terminate_backend(\(victim.backendProcessID), 60000)")
                        try await handled
                    }
                }
                try await gate.run("SELECT pg_advisory_unlock(1)")
            }
            #expect(try await handling.effects.isEmpty)
            #expect(try await handling.checkpoints == ["0"])
            #expect(try await handling.run() == "4 0 4 t")
            #expect(try await handling.effects == ["a1", "a2", "a3", "a4"])
        }
    }

    // MARK: The parts

    private static func prepare(_ client: PostgresClient, failing: Bool = true) async throws {
        try await client.script(
            """
            CREATE TABLE public.effects (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, position bigint NOT NULL, stream text NOT NULL, version int NOT NULL
            );
            CREATE FUNCTION public.effect(event millrace.events) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE
                v_chance float8 := random();
            BEGIN
                INSERT INTO public.effects (position, stream, version) VALUES (event.id, event.aggregate_id, event.version);
                IF \(failing) AND v_chance < 0.03 THEN
                    RAISE EXCEPTION 'by chance';
                END IF;
                RETURN CASE WHEN \(failing) AND v_chance < 0.06 THEN 'retry' ELSE 'done' END;
            END
            $$;
            SELECT millrace.register_sql_handler(
                'h', '{t}', 'public.effect', p_lanes => \(lanes), p_audit => 'all', p_max_attempts => 1000, p_first_wait_ms => 1,
                p_longest_wait_ms => 5
            );
            """
        )
    }

    private static func publish(_ client: PostgresClient, _ publisher: Int, counting published: Counter) async throws {
        var dice = Dice(seed: Dice.seed &+ UInt64(publisher))
        for _ in 0..<events / 2 {
            let stream = Int.random(in: 0..<streams, using: &dice)
            // Both publishers publish into all streams; a killed session publishes again.
            while true {
                do {
                    try await client.run("SELECT millrace.publish_event('t', '\(stream)', 's', '{}')")
                    break
                } catch is PostgresError {
                    continue
                }
            }
            published.increment()
        }
    }

    /// Half of the publishing may have been repeated after a kill, so what is there counts and not what was wanted.
    private static func isDone(_ client: PostgresClient, _ published: Counter) async throws -> Bool {
        guard published.value == events else { return false }
        do {
            return try await client.text(
                "SELECT (sum(s.pending_events) = 0)::text FROM millrace.event_processing_stats AS s"
            ) == "true"
        } catch is PostgresError {
            return false
        }
    }

    private static func repeatUntilDone(
        _ client: PostgresClient,
        _ published: Counter,
        _ work: () async throws -> Void
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(300)
        while try await !isDone(client, published) {
            guard ContinuousClock.now < deadline else {
                throw DeadlineExceeded(what: "everything is handled", limit: .seconds(300))
            }
            // Killed sessions, and lanes that were lost meanwhile.
            do { try await work() } catch is PostgresError {}
        }
    }

    private static func processSome(_ client: PostgresClient, _ worker: Int) async throws {
        try await client.run(
            """
            SELECT millrace.process_events_batch(ARRAY(
                SELECT e.event_id FROM millrace.events AS e
                WHERE e.id > (SELECT min(l.checkpoint) FROM millrace.handler_lanes AS l)
                ORDER BY e.id OFFSET floor(random() * \(worker * 20)) LIMIT 5
            ), 'h')
            """
        )
    }

    /// A worker's life in short: it leases what it gets, runs it, and gives it back, unless it is killed before.
    private static func leaseAndRun(_ client: PostgresClient) async throws {
        let worker = UUID().uuidString
        let leased = try await client.texts(
            """
            SELECT l.lane || ' ' || l.token FROM millrace.lease_lanes('h', '\(worker)', 'racer', 200, '{}', '{}', '{}') AS l
            WHERE l.verdict = 'leased'
            """
        ).compactMap { $0?.split(separator: " ") }
        for lease in leased {
            let (lane, token) = (lease[0], lease[1])
            for _ in 1...3 {
                try await client.run("SELECT millrace.run_sql_handler('h', \(lane), \(token), 'leased', 5)")
            }
            try await client.run(
                "SELECT millrace.release_lanes('h', '\(worker)', '{\(lane)}', '{\(token)}', '{NULL}', true)"
            )
        }
    }

    /// Ends a session in the middle of processing; returns how many it were.
    private static func killOne(_ client: PostgresClient) async throws -> Int {
        let ended = try? await client.text(
            """
            SELECT count(pg_terminate_backend(v.pid))::text FROM (
                SELECT a.pid FROM pg_stat_activity AS a
                WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active'
                  AND (a.query LIKE '%process_events_batch%' OR a.query LIKE '%run_sql_handler%')
                ORDER BY random() LIMIT 1
            ) AS v
            """
        )
        return Int(ended.flatMap { $0 } ?? "") ?? 0
    }

    private static func expectOnceInOrder(_ client: PostgresClient) async throws {
        let findings = """
            SELECT 'doubled ' || f.position FROM public.effects AS f GROUP BY f.position HAVING count(*) > 1
            UNION ALL
            SELECT 'lost ' || e.id FROM millrace.events AS e
            WHERE NOT EXISTS (SELECT FROM public.effects AS f WHERE f.position = e.id)
            UNION ALL
            SELECT 'out of order ' || o.position FROM (
                SELECT f.position, f.version, lag(f.version, 1, 0) OVER (PARTITION BY f.stream ORDER BY f.number) AS before
                FROM public.effects AS f
            ) AS o WHERE o.version <> o.before + 1
            UNION ALL
            SELECT 'still waiting ' || p.position FROM millrace.parked_events AS p
            UNION ALL
            SELECT 'counted otherwise than audited' WHERE
                (SELECT (sum(c.processed), sum(c.attempts)) FROM millrace.handler_counts AS c)
                <> (SELECT (count(*) FILTER (WHERE a.status = 'success')::numeric, count(*)::numeric) FROM millrace.event_audit AS a)
            UNION ALL
            SELECT 'counted otherwise than stored' WHERE
                (SELECT sum(c.processed) FROM millrace.handler_counts AS c) <> (SELECT count(*) FROM millrace.events)
            """
        #expect(try await client.texts(findings).isEmpty)
        // Once the scan has passed everything, nothing is left that was noted for it.
        try await client.run(
            "UPDATE millrace.handler_lanes SET leased_until = clock_timestamp() WHERE worker_id IS NOT NULL"
        )
        try await client.run("SELECT millrace.run_sql_handlers(100000)")
        #expect(try await client.text("SELECT count(*)::text FROM millrace.handled_ahead") == "0")
        #expect(try await client.texts(findings).isEmpty)
    }
}
