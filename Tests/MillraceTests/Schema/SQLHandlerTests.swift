import Foundation
import Millrace
import MillraceEmbedded
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("SQL handlers")
    struct SQLHandlerTests {
        // MARK: Registering

        @Test("a function is registered under its full name, found again, and may be replaced by another one")
        func registering() async throws {
            try await withHandling { handling in
                let register = "SELECT millrace.register_sql_handler('h', '{b,a,a}', "
                #expect(try await handling.client.text(register + "'note')") == "registered")
                #expect(try await handling.client.text(register + "'public.note(millrace.events)')") == "present")
                try await handling.client.script(
                    "CREATE SCHEMA other; CREATE FUNCTION other.\"No te\"(event millrace.events) RETURNS void LANGUAGE sql AS ''"
                )
                #expect(try await handling.client.text(register + #"'other."No te"')"#) == "present")
                let handlers = try await handling.client.texts(
                    "SELECT format('%s %s %s %s', h.kind, h.function, h.event_types, h.lanes) FROM millrace.event_handlers AS h"
                )
                #expect(handlers == [#"sql other."No te" {a,b} 16"#])
                try await expectRefusal("MR015", "registered otherwise") {
                    try await handling.client.run("SELECT millrace.register_sql_handler('h', '{a}', 'note')")
                }
            }
        }

        @Test(
            "a function that cannot handle events is refused, with the reason",
            arguments: [
                ("nowhere", "nowhere does not exist with one argument of the type millrace.events"),
                ("a b(", "a b( does not exist"),
                ("no_event", "does not exist with one argument"),
                ("no_event()", "does not take exactly one argument of the type millrace.events"),
                ("two(millrace.events, int)", "does not take exactly one argument"),
                ("any_event(anyelement)", "does not take exactly one argument"),
                ("any_event", "does not exist with one argument"),
                ("returns_json", "returns neither void nor text"),
                ("returns_many", "returns neither void nor text"),
                ("a_procedure", "is no plain function"),
                ("as_its_owner", "is SECURITY DEFINER"),
                ("without_effect", "is not VOLATILE"),
                ("pg_temp.passing", "is temporary"),
                ("millrace.among_ours", "lies in the schema millrace"),
                ("forbidden", "may not be executed by sql_handler_"),
                ("hidden.away", "may not be executed by sql_handler_"),
            ]
        )
        func badFunctions(function: String, reason: String) async throws {
            try await withRole(in: ["millrace_consumer"]) { handling, role in
                try await handling.client.withConnection { connection in
                    try await connection.script(
                        """
                        CREATE FUNCTION public.no_event() RETURNS void LANGUAGE sql AS '';
                        CREATE FUNCTION public.two(event millrace.events, n int DEFAULT 1) RETURNS void LANGUAGE sql AS '';
                        CREATE FUNCTION public.any_event(event anyelement) RETURNS void LANGUAGE sql AS '';
                        CREATE FUNCTION public.returns_json(event millrace.events) RETURNS jsonb LANGUAGE sql AS 'SELECT ''1''::jsonb';
                        CREATE FUNCTION public.returns_many(event millrace.events) RETURNS SETOF text LANGUAGE sql AS 'SELECT ''done''';
                        CREATE PROCEDURE public.a_procedure(event millrace.events) LANGUAGE sql AS '';
                        CREATE FUNCTION public.as_its_owner(event millrace.events) RETURNS void LANGUAGE sql SECURITY DEFINER AS '';
                        CREATE FUNCTION public.without_effect(event millrace.events) RETURNS text LANGUAGE sql STABLE AS 'SELECT ''done''';
                        CREATE FUNCTION millrace.among_ours(event millrace.events) RETURNS void LANGUAGE sql AS '';
                        CREATE FUNCTION pg_temp.passing(event millrace.events) RETURNS void LANGUAGE sql AS '';
                        CREATE FUNCTION public.forbidden(event millrace.events) RETURNS void LANGUAGE sql AS '';
                        REVOKE ALL ON FUNCTION public.forbidden(millrace.events) FROM PUBLIC;
                        CREATE SCHEMA hidden;
                        CREATE FUNCTION hidden.away(event millrace.events) RETURNS void LANGUAGE sql AS '';
                        GRANT USAGE ON SCHEMA hidden TO \(role);
                        """
                    )
                    let isHidden = function.hasPrefix("hidden")
                    if !function.hasPrefix("pg_temp") { try await connection.run("SET ROLE \(role)") }
                    if isHidden {
                        // Found by its name, which needs the schema, and no longer allowed when it is to be run.
                        try await connection.run("SELECT millrace.register_sql_handler('hidden', '{t}', 'hidden.away')")
                        try await connection.script(
                            "RESET ROLE; REVOKE USAGE ON SCHEMA hidden FROM \(role); SET ROLE \(role)"
                        )
                    }
                    try await expectRefusal("MR018", reason) {
                        try await connection.run(
                            isHidden
                                ? "SELECT millrace.run_sql_handler('hidden', 0, 0, 'me', 1)"
                                : "SELECT millrace.register_sql_handler('x', '{t}', '\(function)')"
                        )
                    }
                    try await connection.run("RESET ROLE")
                }
            }
        }

        // MARK: Running a lane

        @Test("a run handles in order, as many as it may, and says where it is")
        func running() async throws {
            try await withHandling { handling in
                try await handling.register()
                for stream in ["a", "b", "a"] { try await handling.publish(stream) }
                try await handling.publish("a", type: "other")
                #expect(try await handling.run(limit: 2) == "2 0 2 f")
                #expect(try await handling.run(limit: 2) == "1 0 4 t")
                #expect(try await handling.run() == "0 0 4 t")
                #expect(try await handling.effects == ["a1", "b1", "a2"])
            }
        }

        @Test("a function that returns nothing has done it")
        func withoutAnswer() async throws {
            try await withHandling { handling in
                try await handling.client.script(
                    """
                    CREATE FUNCTION public.silent(event millrace.events) RETURNS void LANGUAGE sql AS
                        $$ INSERT INTO public.effects (position, stream, version, data, who)
                           VALUES (event.id, event.aggregate_id, event.version, event.event_data, current_user) $$;
                    SELECT millrace.register_sql_handler('h', NULL, 'silent', p_lanes => 1, p_aggregate_types => '{s}');
                    """
                )
                for stream in ["a", "b"] { try await handling.publish(stream) }
                #expect(try await handling.run() == "2 0 2 t")
                #expect(try await handling.effects == ["a1", "b1"])
            }
        }

        @Test("a run ends at the horizon, and process_event may go beyond it within a stream")
        func horizon() async throws {
            try await withHandling { handling in
                try await handling.register()
                try await handling.client.withConnection { slow in
                    try await handling.publish("a")
                    try await slow.run("BEGIN")
                    try await slow.run("SELECT millrace.publish_event('t', 'slow', 's', '{}')")
                    let second = try await handling.publish("a")
                    let third = try await handling.publish("a")
                    #expect(try await handling.run() == "1 0 1 t")
                    #expect(try await !handling.process(third))
                    #expect(try await handling.process(second))
                    #expect(try await handling.ahead == ["a 3"])
                    #expect(try await handling.checkpoints == ["1"])
                    try await slow.run("COMMIT")
                }
                #expect(try await handling.run() == "2 0 4 t")
                #expect(try await handling.effects == ["a1", "a2", "slow1", "a3"])
                #expect(try await handling.ahead.isEmpty)
            }
        }

        @Test("who has lost the lane handles nothing")
        func fencing() async throws {
            try await withHandling { handling in
                try await handling.register()
                try await handling.publish("a")
                try await expectRefusal("MR016", "lane 0") {
                    try await handling.client.run("SELECT millrace.run_sql_handler('h', 0, 7, 'me', 1)")
                }
                try await expectRefusal("MR015", "there is no handler") {
                    try await handling.client.run("SELECT millrace.run_sql_handler('x', 0, 0, 'me', 1)")
                }
                for call in ["run_sql_handler('h', 0, 0, 'me', 1)", "process_event(uuidv7())", "run_sql_handlers()"] {
                    try await handling.client.withConnection { connection in
                        try await connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
                        try await expectRefusal("MR005", "REPEATABLE READ") {
                            try await connection.run("SELECT millrace.\(call)")
                        }
                        try await connection.run("ROLLBACK")
                    }
                }
                #expect(try await handling.effects.isEmpty)
            }
        }

        @Test("a paused handler handles nothing, until it is resumed")
        func paused() async throws {
            try await withHandling { handling in
                try await handling.register()
                let event = try await handling.publish("a")
                try await handling.client.run("SELECT millrace.stop_handler('h', 'paused', 'lunch')")
                #expect(try await handling.run() == "0 0 0 t")
                #expect(try await !handling.process(event))
                #expect(try await !handling.process(event, "h"))
                try await handling.client.run("SELECT millrace.resume_handler('h')")
                #expect(try await handling.process(event))
            }
        }

        // MARK: Failing

        @Test(
            "what fails is undone and tried again, its stream waits, and the others go on",
            arguments: ["raise", "assert", "retry", "nonsense"]
        )
        func retrying(fate: String) async throws {
            try await withHandling { handling in
                try await handling.register()
                try await handling.decide("a", 1, fate)
                for stream in ["a", "b", "a", "b", "a"] { try await handling.publish(stream) }
                #expect(try await handling.run() == "2 1 5 t")
                #expect(try await handling.parked == ["a1 retrying 1 2"])
                #expect(try await handling.run() == "0 0 5 t")
                try await handling.hurry()
                #expect(try await handling.run() == "0 1 5 t")
                #expect(try await handling.parked == ["a1 retrying 2 2"])

                try await handling.decide("a", 1, nil)
                try await handling.hurry()
                #expect(try await handling.run(limit: 2) == "2 0 5 f")
                #expect(try await handling.parked == ["a3 retrying 0 0"])
                #expect(try await handling.run() == "1 0 5 t")
                #expect(try await handling.parked.isEmpty)
                #expect(try await handling.effects == ["b1", "b2", "a1", "a2", "a3"])
            }
        }

        @Test("the waits double up to the longest, half of each at random, and the last attempt parks")
        func backingOff() async throws {
            try await withHandling { handling in
                try await handling.register(
                    "h",
                    ", p_max_attempts => 5, p_first_wait_ms => 1000, p_longest_wait_ms => 3000"
                )
                try await handling.decide("a", 1, "raise")
                try await handling.publish("a")
                for longest in [1000, 2000, 3000, 3000] {
                    try await handling.run()
                    let wait = try await handling.client.text(
                        """
                        SELECT (extract(epoch FROM p.next_attempt_at - p.last_failed_at) * 1000
                                BETWEEN \(longest / 2) AND \(longest))::text
                        FROM millrace.parked_events AS p
                        """
                    )
                    #expect(wait == "true")
                    try await handling.hurry()
                }
                try await handling.run()
                #expect(try await handling.parked == ["a1 parked 5 0"])
                let error = try await handling.client.text(
                    "SELECT p.error_kind || ': ' || p.error FROM millrace.parked_events AS p"
                )
                #expect(error == "SQLSTATE P4242: so be it")
            }
        }

        @Test(
            "what is parked waits for an operator, who has it tried again, with other data if he likes, or passed over"
        )
        func parking() async throws {
            try await withHandling { handling in
                try await handling.register()
                for version in 1...2 { try await handling.decide("a", version, "park") }
                for _ in 1...3 { try await handling.publish("a") }
                #expect(try await handling.run() == "0 1 3 t")
                #expect(try await handling.parked == ["a1 parked 1 2"])
                try await handling.hurry()
                #expect(try await handling.run() == "0 0 3 t")

                try await handling.discardParked()
                #expect(try await handling.run() == "0 1 3 t")
                #expect(try await handling.parked == ["a2 parked 1 1"])
                try await handling.decide("a", 2, nil)
                try await handling.client.run("SELECT millrace.edit_parked('{\"edited\": true}', p_retry => true)")
                #expect(try await handling.run() == "2 0 3 t")
                let effects = try await handling.client.texts(
                    "SELECT format('%s%s %s', e.stream, e.version, e.data) FROM public.effects AS e ORDER BY e.number"
                )
                #expect(effects == [#"a2 {"edited": true}"#, "a3 {}"])
                let counts = try await handling.client.text(
                    "SELECT format('%s %s %s', c.processed, c.discarded, c.attempts) FROM millrace.handler_counts AS c"
                )
                #expect(counts == "2 1 4")
                let discarded = try await handling.client.texts(
                    "SELECT format('%s %s', a.position, a.error) FROM millrace.event_audit AS a WHERE a.status = 'discarded'"
                )
                #expect(discarded == ["1 out of date"])
            }
        }

        @Test("stop ends the handler before the event, with the reason, and what was handled before counts")
        func stopping() async throws {
            try await withHandling { handling in
                try await handling.register()
                try await handling.decide("b", 1, "stop")
                for stream in ["a", "b", "c"] { try await handling.publish(stream) }
                #expect(try await handling.run() == "1 1 1 t")
                #expect(try await handling.effects == ["a1"])
                let state = try await handling.client.text(
                    "SELECT h.state || ': ' || h.state_reason FROM millrace.event_handlers AS h"
                )
                #expect(state == "stopped: the function answered stop at event 2")
                #expect(try await handling.run() == "0 0 1 t")
                try await handling.decide("b", 1, nil)
                try await handling.client.run("SELECT millrace.resume_handler('h')")
                #expect(try await handling.run() == "2 0 3 t")
            }
        }

        @Test("one stream too many that fails stops the handler, and nothing of the others is lost")
        func parkedLimit() async throws {
            try await withHandling { handling in
                try await handling.register("h", ", p_parked_limit => 1")
                for stream in ["a", "c"] { try await handling.decide(stream, 1, "park") }
                for stream in ["a", "b", "c", "d"] { try await handling.publish(stream) }
                #expect(try await handling.run() == "1 2 2 t")
                #expect(try await handling.parked == ["a1 parked 1 0"])
                let reason = try await handling.client.text("SELECT h.state_reason FROM millrace.event_handlers AS h")
                #expect(reason?.contains("its limit of 1 streams set aside: event 3 failed") == true, "\(reason ?? "")")
                #expect(try await handling.effects == ["b1"])
            }
        }

        @Test("two lanes that stop their handler at once do not lose their work to each other")
        func stoppingTwice() async throws {
            try await withHandling { handling in
                try await handling.register(lanes: 2)
                let lanes = try await handling.client.texts(
                    "SELECT min(n)::text FROM generate_series(1, 99) AS n GROUP BY millrace.lane_of('s', n::text, 2) ORDER BY millrace.lane_of('s', min(n)::text, 2)"
                )
                // In each lane one stream that is set aside, which locks the handler's row a little, and one that stops it.
                for stream in lanes {
                    try await handling.decide(try #require(stream), 1, "park")
                    try await handling.publish(try #require(stream))
                }
                try await handling.client.withConnection { first in
                    try await handling.client.withConnection { second in
                        for (lane, connection) in [first, second].enumerated() {
                            try await connection.run("BEGIN")
                            let run = try await connection.text(
                                "SELECT r.failed::text FROM millrace.run_sql_handler('h', \(lane), 0, 'test', 9) AS r"
                            )
                            #expect(run == "1")
                            // Not those two seconds that a worker has: the test may be slower.
                            try await connection.run("SET LOCAL idle_in_transaction_session_timeout = 0")
                        }
                        try await first.run("SELECT millrace.stop_handler('h', 'stopped', 'first')")
                        async let waiting: Void = second.run("SELECT millrace.stop_handler('h', 'stopped', 'second')")
                        try await eventually("the second waits for the first") {
                            try await handling.client.text(
                                "SELECT count(*)::text FROM pg_stat_activity WHERE pid = \(second.backendProcessID) AND wait_event_type = 'Lock'"
                            ) == "1"
                        }
                        try await first.run("COMMIT")
                        try await waiting
                        try await second.run("COMMIT")
                    }
                }
                #expect(try await handling.parked.count == 2)
            }
        }

        @Test("a constraint that waits for the commit fails its event and no other")
        func deferredConstraint() async throws {
            try await withHandling { handling in
                try await handling.client.script(
                    """
                    CREATE TABLE public.parents (id text PRIMARY KEY);
                    CREATE TABLE public.children (
                        position bigint PRIMARY KEY, parent text REFERENCES public.parents DEFERRABLE INITIALLY DEFERRED
                    );
                    CREATE FUNCTION public.bear(event millrace.events) RETURNS void LANGUAGE plpgsql AS $$
                    BEGIN
                        INSERT INTO public.children VALUES (event.id, event.aggregate_id);
                        IF event.aggregate_id <> 'orphan' THEN
                            INSERT INTO public.parents VALUES (event.aggregate_id);
                        END IF;
                    END
                    $$;
                    SELECT millrace.register_sql_handler('h', '{t}', 'bear', p_lanes => 1);
                    """
                )
                for stream in ["a", "orphan", "b"] { try await handling.publish(stream) }
                #expect(try await handling.run() == "2 1 3 t")
                #expect(
                    try await handling.client.texts("SELECT parent FROM public.children ORDER BY position") == [
                        "a", "b",
                    ]
                )
                let kind = try await handling.client.text("SELECT p.error_kind FROM millrace.parked_events AS p")
                #expect(kind == "SQLSTATE 23503")
            }
        }

        // MARK: Given events

        @Test("process_event handles the next of its stream and nothing else")
        func processing() async throws {
            try await withHandling { handling in
                try await handling.register()
                let first = try await handling.publish("a")
                let other = try await handling.publish("a", type: "other")
                let second = try await handling.publish("a")
                let third = try await handling.publish("b")
                #expect(try await !handling.process(second), "the first comes first")
                #expect(try await !handling.process(other), "nobody wants it")
                #expect(try await !handling.process(UUID().uuidString), "there is none")
                #expect(try await handling.process(third))
                #expect(try await handling.ahead == ["b 4"])
                #expect(try await handling.checkpoints == ["0"])
                #expect(try await handling.process(first), "the very next one moves the checkpoint")
                #expect(try await handling.checkpoints == ["2"])
                #expect(try await !handling.process(first))
                #expect(try await handling.process(second))
                #expect(try await handling.checkpoints == ["4"])
                #expect(try await handling.ahead.isEmpty)
                #expect(try await handling.run() == "0 0 4 t")
                #expect(try await handling.effects == ["b1", "a1", "a3"])
                try await expectRefusal("MR015", "there is no handler") { _ = try await handling.process(first, "x") }
                try await handling.client.run(
                    "SELECT millrace.register_handler('x', 'swift', NULL, '{t}', NULL, 1, 0, 'none', 1, 0, 0, 1)"
                )
                try await expectRefusal("MR015", "is swift code") { _ = try await handling.process(first, "x") }
            }
        }

        @Test("a batch goes in the order of the log, for every handler, and says of each event whether it was handled")
        func batches() async throws {
            try await withHandling { handling in
                try await handling.register("h")
                try await handling.client.script(
                    """
                    CREATE FUNCTION public.nothing(event millrace.events) RETURNS void LANGUAGE sql AS '';
                    SELECT millrace.register_sql_handler('i', '{t}', 'nothing', p_lanes => 3);
                    """
                )
                for stream in ["a", "b", "a", "a"] { try await handling.publish(stream) }
                try await handling.publish("a", type: "other")
                let batch = """
                    SELECT format('%s %s %s', e.id, b.handler_id, b.processed)
                    FROM millrace.process_events_batch(ARRAY(SELECT e.event_id FROM millrace.events AS e
                        WHERE e.id <> 3 ORDER BY e.id DESC)) AS b
                    JOIN millrace.events AS e ON e.event_id = b.event_id
                    ORDER BY b.handler_id NULLS LAST, e.id
                    """
                #expect(
                    try await handling.client.texts(batch) == [
                        "1 h t", "2 h t", "4 h f", "1 i t", "2 i t", "4 i f", "5  f",
                    ]
                )
                #expect(try await handling.effects == ["a1", "b1"])
                try await expectRefusal("MR011", "p_event_ids is missing") {
                    try await handling.client.run("SELECT millrace.process_events_batch(NULL)")
                }
                try await expectRefusal("MR003", "10001 elements") {
                    try await handling.client.run(
                        "SELECT millrace.process_events_batch(array_fill(uuidv7(), ARRAY[10001]))"
                    )
                }
            }
        }

        @Test("process_event leaves a lane alone that somebody leases, until the lease has run out")
        func leased() async throws {
            try await withHandling { handling in
                try await handling.register()
                let event = try await handling.publish("a")
                try await handling.client.run(
                    "SELECT millrace.lease_lanes('h', uuidv7(), 'me', 3600000, '{}', '{}', '{}')"
                )
                #expect(try await !handling.process(event))
                #expect(try await handling.client.texts("SELECT r.error FROM millrace.run_sql_handlers() AS r").isEmpty)
                #expect(try await handling.run(limit: 9) == "1 0 1 t", "the one who leases it handles it")

                let second = try await handling.publish("a")
                try await handling.client.run("UPDATE millrace.handler_lanes SET leased_until = clock_timestamp()")
                #expect(try await handling.process(second))
                try await handling.publish("a")
                let run = try await handling.client.texts(
                    "SELECT format('%s %s %s %s', r.handler_id, r.lane, r.handled, r.failed) FROM millrace.run_sql_handlers() AS r"
                )
                #expect(run == ["h 0 1 0"])
                try await expectRefusal("MR016", "not leased under token 1") {
                    try await handling.client.run("SELECT millrace.run_sql_handler('h', 0, 1, 'the former', 9)")
                }
            }
        }

        @Test("process_event fails, waits, parks and frees as a run does, in front of the checkpoint too")
        func processingFailures() async throws {
            try await withHandling { handling in
                try await handling.register("h", ", p_max_attempts => 2")
                try await handling.decide("a", 2, "raise")
                try await handling.publish("b")
                let first = try await handling.publish("a")
                let second = try await handling.publish("a")
                let third = try await handling.publish("a")
                #expect(try await handling.process(first))
                #expect(try await !handling.process(second))
                #expect(try await handling.parked == ["a2 retrying 1 0"])
                #expect(try await !handling.process(second), "its time has not come")
                #expect(try await !handling.process(third), "it waits")
                try await handling.hurry()
                #expect(try await !handling.process(second))
                #expect(try await handling.parked == ["a2 parked 2 0"])
                #expect(try await handling.checkpoints == ["0"])
                #expect(try await handling.run() == "1 0 4 t")
                #expect(try await handling.parked == ["a2 parked 2 1"])

                try await handling.decide("a", 2, nil)
                try await handling.retryParked()
                #expect(try await !handling.process(third))
                #expect(try await handling.process(second))
                #expect(try await handling.parked == ["a3 retrying 0 0"])
                #expect(try await handling.process(third))
                #expect(try await handling.parked.isEmpty)
                #expect(try await handling.effects == ["a1", "b1", "a2", "a3"])
            }
        }

        @Test("process_event passes over what an operator discards, and answers false to it")
        func processingDiscards() async throws {
            try await withHandling { handling in
                try await handling.register()
                try await handling.decide("a", 1, "park")
                let first = try await handling.publish("a")
                let second = try await handling.publish("a")
                #expect(try await !handling.process(first))
                try await handling.discardParked()
                #expect(try await !handling.process(first))
                #expect(try await handling.parked.isEmpty)
                #expect(try await handling.process(second))
                #expect(try await handling.effects == ["a2"])
                #expect(try await handling.run() == "0 0 2 t")
            }
        }

        @Test("process_event is part of the caller's transaction, together with the event it publishes")
        func inTransaction() async throws {
            try await withHandling { handling in
                try await handling.register()
                let published = "SELECT millrace.process_event(millrace.publish_event('t', 'a', 's', '{}'))::text"
                try await handling.client.withConnection { connection in
                    try await connection.run("BEGIN")
                    let timeout = try await connection.text("SHOW idle_in_transaction_session_timeout")
                    #expect(try await connection.text(published) == "true")
                    #expect(try await connection.text("SHOW idle_in_transaction_session_timeout") == timeout)
                    try await connection.run("ROLLBACK")
                    #expect(try await handling.effects.isEmpty)
                    #expect(try await handling.ahead.isEmpty)
                    #expect(try await connection.text(published) == "true")
                }
                #expect(try await handling.effects == ["a1"])
                #expect(try await handling.run()?.hasPrefix("0 0") == true)
            }
        }

        @Test("an event that another session is at is passed over, and that session's rollback leaves it to others")
        func skipping() async throws {
            try await withHandling { handling in
                try await handling.register()
                let event = try await handling.publish("a")
                try await handling.client.withConnection { other in
                    try await other.run("BEGIN")
                    #expect(try await other.text("SELECT millrace.process_event('\(event)')::text") == "true")
                    #expect(try await !handling.process(event))
                    #expect(
                        try await handling.client.texts("SELECT r.lane::text FROM millrace.run_sql_handlers() AS r")
                            .isEmpty
                    )
                    try await other.run("ROLLBACK")
                }
                #expect(try await handling.process(event))
            }
        }

        @Test("a function cannot process events itself")
        func nesting() async throws {
            try await withHandling { handling in
                try await handling.client.script(
                    """
                    CREATE FUNCTION public.greedy(event millrace.events) RETURNS void LANGUAGE plpgsql AS
                        $$ BEGIN PERFORM millrace.process_event(event.event_id); END $$;
                    SELECT millrace.register_sql_handler('h', '{t}', 'greedy', p_lanes => 1);
                    """
                )
                let event = try await handling.publish("a")
                #expect(try await handling.run() == "0 1 1 t")
                let kind = try await handling.client.text("SELECT p.error_kind FROM millrace.parked_events AS p")
                #expect(kind == "SQLSTATE MR019")
                try await handling.hurry()
                #expect(try await !handling.process(event), "the session that said so may go on")
            }
        }

        // MARK: All handlers

        @Test(
            "run_sql_handlers handles so many events at the most, those behind first, and goes on where one cannot be run"
        )
        func everything() async throws {
            try await withHandling { handling in
                try await handling.register("h", lanes: 4)
                try await handling.client.script(
                    """
                    CREATE FUNCTION public.short_lived(event millrace.events) RETURNS void LANGUAGE sql AS '';
                    SELECT millrace.register_sql_handler('gone', '{t}', 'short_lived', p_lanes => 1);
                    DROP FUNCTION public.short_lived;
                    """
                )
                for stream in 1...20 { try await handling.publish("\(stream)") }
                let run = """
                    SELECT format('%s %s', sum(r.handled), string_agg(r.handler_id || ': ' || left(r.error, 46), ''))
                    FROM millrace.run_sql_handlers(15) AS r
                    """
                let problem = "gone: the function public.short_lived does not exist"
                #expect(try await handling.client.text(run) == "15 \(problem)")
                #expect(try await handling.client.text(run) == "5 \(problem)")
                #expect(try await handling.client.text(run) == "0 \(problem)")
                #expect(Set(try await handling.effects).count == 20)
            }
        }

        @Test("pg_cron's jobs do what they say")
        func scheduledCommands() async throws {
            let script = try String(contentsOf: Self.schedule, encoding: .utf8)
            let commands = script.matches(of: /\$\$(.+?)\$\$/).map { String($0.1) }.filter { !$0.contains("cron.") }
            #expect(commands.count == 5)
            try await withRole(in: ["millrace_consumer", "millrace_admin"]) { handling, role in
                try await handling.register()
                try await handling.publish("a")
                try await handling.client.withConnection { connection in
                    try await connection.script(
                        """
                        GRANT ALL ON public.effects, public.fates TO \(role);
                        ALTER FUNCTION public.note(millrace.events) OWNER TO \(role);
                        SET ROLE \(role);
                        """
                    )
                    for command in commands { try await connection.run(command) }
                    try await connection.run("RESET ROLE")
                }
                #expect(try await handling.effects == ["a1"])
                #expect(try await handling.client.text("SELECT counted_to::text FROM millrace.event_counts_end") == "1")
            }
        }

        @Test(
            "pg_cron takes the jobs, once each",
            .enabled("the PostgreSQL of the tests has no extension pg_cron") { try await hasCron() }
        )
        func cron() async throws {
            let server = try await TestServer.start()
            try await withClient(PostgresConfiguration(server.postgres.connectionString)) { client in
                let database = try #require(try await client.text("SELECT current_database()::text"))
                try await client.script("ALTER SYSTEM SET shared_preload_libraries = 'pg_cron'")
                try await client.script("ALTER SYSTEM SET cron.database_name = '\(database)'")
            }
            try await server.postgres.stop(.fast)
            let restarted = try await server.restart()
            try await withClient(PostgresConfiguration(restarted.postgres.connectionString)) { client in
                try await migrate(client)
                let script = try String(contentsOf: Self.schedule, encoding: .utf8)
                for _ in 1...2 { try await client.script(script) }
                #expect(
                    try await client.text("SELECT count(*)::text FROM cron.job WHERE jobname LIKE 'millrace %'") == "6"
                )
                let handling = try await SQLHandling(client)
                try await handling.register()
                try await handling.publish("a")
                try await eventually("pg_cron has it handled") { try await handling.effects == ["a1"] }
            }
            try await restarted.remove()
        }

        private static func hasCron() async throws -> Bool {
            try await withTestDatabase { client in
                try await client.text("SELECT count(*)::text FROM pg_available_extensions WHERE name = 'pg_cron'")
                    == "1"
            }
        }

        private static let schedule = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
            .appending(path: "scripts/schedule-with-pg-cron.sql")

        // MARK: The books

        @Test(
            "every attempt is audited as the handler says, and the counters are complete either way",
            arguments: ["all", "failures", "none"]
        )
        func books(audit: String) async throws {
            try await withHandling { handling in
                try await handling.register("h", ", p_audit => '\(audit)', p_max_attempts => 2")
                try await handling.decide("b", 1, "raise")
                for stream in ["a", "b", "c"] { try await handling.publish(stream) }
                try await handling.run()
                let last = try await handling.publish("a")
                #expect(try await handling.process(last))
                try await handling.hurry()
                try await handling.run()
                let trail = try await handling.client.texts(
                    """
                    SELECT format('%s %s %s %s', a.position, a.attempt, a.status, a.error) FROM millrace.event_audit AS a
                    ORDER BY a.position, a.attempt
                    """
                )
                let failures = ["2 1 retrying so be it", "2 2 parked so be it"]
                let all = ["1 1 success "] + failures + ["3 1 success ", "4 1 success "]
                #expect(trail == (audit == "all" ? all : audit == "failures" ? failures : []))
                let counts = try await handling.client.text(
                    """
                    SELECT format('%s %s %s %s', c.processed, c.discarded, c.attempts,
                                  (SELECT sum(n) FROM unnest(c.latencies) AS n))
                    FROM millrace.handler_counts AS c
                    """
                )
                #expect(counts == "3 0 5 3")
                let stats = try await handling.client.text(
                    """
                    SELECT format('%s %s %s %s', s.total_events, s.processed_events, s.pending_events, s.failed_events)
                    FROM millrace.event_processing_stats AS s
                    """
                )
                #expect(stats == "4 3 0 1")
            }
        }

        @Test("an event's time is counted in the bucket that it belongs to")
        func buckets() async throws {
            try await withHandling { handling in
                try await handling.register()
                let times = [0, 1, 2, 3, 4, 5, 6, 1023, 1024, 1448, 1449, 2_000_000_000]
                try await handling.client.run(
                    """
                    SELECT millrace.settle_sql_run('h', 0, 0, 0, 'test', ARRAY(
                        SELECT ROW(now(), 'h', n, uuidv7(), 't', 0, 1, 'success', NULL, 'test', make_interval(secs => us / 1000000.0))::millrace.event_audit
                        FROM unnest('{\(times.map(String.init).joined(separator: ","))}'::bigint[]) WITH ORDINALITY AS t (us, n)
                    ), NULL, NULL)
                    """
                )
                // The n-th holds what took less than 2^(n/2) microseconds and not less than 2^((n-1)/2).
                let filled = try await handling.client.texts(
                    """
                    SELECT format('%s: %s', l.n, l.events) FROM millrace.handler_counts AS c
                    CROSS JOIN LATERAL unnest(c.latencies) WITH ORDINALITY AS l (events, n) WHERE l.events > 0 ORDER BY l.n
                    """
                )
                #expect(
                    filled == ["1: 2", "3: 1", "4: 1", "5: 2", "6: 1", "20: 1", "21: 2", "22: 1", "62: 1"]
                )
            }
        }

        @Test("a handler that was reset handles what lies behind the position once more, and forgets what it did ahead")
        func resetting() async throws {
            try await withHandling { handling in
                try await handling.register()
                try await handling.client.run("ALTER TABLE public.effects DROP CONSTRAINT effects_position_key")
                try await handling.decide("b", 1, "park")
                for stream in ["a", "b", "a", "b"] { try await handling.publish(stream) }
                try await handling.run(limit: 2)
                let fifth = try await handling.publish("c")
                #expect(try await handling.process(fifth))
                try await handling.client.run("SELECT millrace.reset_handler('h', 1)")
                #expect(try await handling.ahead.isEmpty)
                #expect(try await handling.parked.isEmpty)
                try await handling.decide("b", 1, nil)
                #expect(try await handling.run() == "4 0 5 t")
                #expect(try await handling.effects == ["a1", "c1", "b1", "a2", "b2", "c1"])
            }
        }

        // MARK: Helpers

        static func withHandling(_ body: (SQLHandling) async throws -> Void) async throws {
            try await withTestDatabase { client in try await body(SQLHandling(client)) }
        }

        private func withHandling(_ body: (SQLHandling) async throws -> Void) async throws {
            try await Self.withHandling(body)
        }

        /// With a role of its own, which belongs to the whole cluster.
        private func withRole(
            in groups: [String],
            _ body: (SQLHandling, String) async throws -> Void
        ) async throws {
            try await withHandling { handling in
                let role = "sql_handler_\(UInt32.random(in: 0 ... .max))"
                try await handling.client.script("CREATE ROLE \(role) IN ROLE \(groups.joined(separator: ", "))")
                try await body(handling, role)
                try await handling.client.script("DROP OWNED BY \(role) CASCADE; DROP ROLE \(role)")
            }
        }
    }
}
