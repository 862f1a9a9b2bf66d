import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension OperatingTests {
    @Suite("pausing and resetting")
    struct ResettingTests {
        @Test("a handler is paused for a reason, and goes on; one that stopped stays stopped")
        func states() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register()
                #expect(try await store.handlers.pause("billing", reason: "the bank is down") == .active)
                #expect(try await store.handlers.pause("billing", reason: "again") == .paused)
                var status = try await store.handlers.status(of: "billing")
                #expect(status.state == .paused && status.reason == "the bank is down")
                #expect(try await hand.lease().isEmpty)

                try await store.client.run("SELECT millrace.stop_handler('billing', 'stopped', 'poison')")
                #expect(try await store.handlers.pause("billing", reason: "later") == .stopped)
                status = try await store.handlers.status(of: "billing")
                #expect(status.state == .stopped && status.reason == "poison")

                #expect(try await store.handlers.resume("billing") == .stopped)
                #expect(try await store.handlers.resume("billing") == .active)
                status = try await store.handlers.status(of: "billing")
                #expect(status.state == .active && status.reason == nil)
                #expect(try await hand.lease().count == 4)
                let actions = try await store.handlers.actions(of: "billing")
                #expect(actions.map(\.kind) == [.resume, .stop, .pause])
                #expect(actions.map(\.reason) == [nil, "poison", "the bank is down"])
                #expect(actions.allSatisfy { !$0.actor.isEmpty && $0.position == nil })
            }
        }

        @Test("a dry run of a reset says what the reset does, and changes nothing")
        func dryRun() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(types: ["a"], lanes: 1)
                try await OperatingTests.publish(10, to: store.client)
                try await OperatingTests.publish(5, type: "b", to: store.client)
                try await OperatingTests.publish(5, to: store.client)
                let token = try await hand.lease()[0]
                for position in 1...7 as ClosedRange<Int64> { try await hand.succeed(position) }
                try await hand.fail(8)

                let back = try await store.handlers.reset("billing", to: .after(Position(3)), dryRun: true)
                #expect(back.from == Position(8) && back.to == Position(3) && back.lanesMoved == 1)
                #expect(back.again == .init(events: 5, isExact: true) && back.leftOut.events == 0)
                #expect(back.parkedDropped == 1)
                let end = try await store.handlers.reset("billing", to: .end, dryRun: true)
                #expect(
                    end.to == Position(20) && end.leftOut == .init(events: 7, isExact: true) && end.again.events == 0
                )
                #expect(end.parkedDropped == 0)
                #expect(try await store.handlers.parked().count == 1)
                #expect(try await store.handlers.actions().isEmpty)
                try await hand.succeed(9, token: token)

                #expect(try await store.handlers.reset("billing", to: .after(Position(3))).again.events == 6)
                #expect(try await store.handlers.parked().isEmpty)
                let status = try await store.handlers.status(of: "billing")
                #expect(status.checkpoint == Position(3) && status.processed == 0)
                #expect(status.pending == .init(events: 12, isExact: true))
                let action = try #require(try await store.handlers.actions(of: "billing").first)
                #expect(action.kind == .reset)
                #expect(action.details?.text == #"{"to": 3, "from": [9], "parked_dropped": 1}"#)
            }
        }

        @Test("what a worker has under way when its handler is reset is not settled any more")
        func underWay() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(lanes: 1)
                try await OperatingTests.publish(3, to: store.client)
                let token = try await hand.lease()[0]
                try await hand.succeed(1, token: token)
                _ = try await store.handlers.reset("billing", to: .start)
                try await expectRefusal("MR016") { try await hand.succeed(2, token: token) }
                #expect(try await hand.lease().count == 1)
            }
        }

        @Test("after a reset every event is counted once, also where a stream goes on waiting")
        func countsAddUpAfterAReset() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(types: ["a"], lanes: 1)
                try await OperatingTests.publish(12, streams: 2, to: store.client)
                try await hand.lease()
                try await hand.fail(1)
                try await hand.succeed(2)
                for counted in [false, true] {
                    // Behind the head there are 3, 5 and 7 then.
                    _ = try await store.handlers.reset("billing", to: .after(Position(8)))
                    let waiting = try #require(try await store.handlers.parked().first)
                    #expect(waiting.position == Position(1) && waiting.waiting == 3)
                    let status = try await store.handlers.status(of: "billing")
                    #expect(status.pending.events == 4 && status.parked == 1 && status.waiting == 3)
                    let stats = try await store.client.texts(
                        """
                        SELECT format('%s %s %s %s', total_events, processed_events, pending_events, failed_events)
                        FROM millrace.event_processing_stats
                        """
                    )
                    // In the log 12, of which 4 (2, 4, 6 and 8) are left out.
                    #expect(stats == ["8 0 7 1"], "counted: \(counted)")
                    try await store.client.run("SELECT millrace.count_events()")
                }
            }
        }

        @Test("a reset waits for a worker that settles, and the worker for nobody")
        func noDeadlock() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(lanes: 1)
                try await OperatingTests.publish(4, to: store.client)
                try await hand.lease()
                // The counters' row is there then, and its foreign key is not looked at any more.
                try await hand.succeed(1)
                try await within(.seconds(120), "both commit") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        try await store.client.withTransaction(retry: .none) { transaction in
                            try await hand.succeed(2, in: transaction)
                            group.addTask { _ = try await store.handlers.reset("billing", to: .start) }
                            try await eventually("the reset waits for the lane") {
                                try await store.client.text(
                                    """
                                    SELECT count(*)::text FROM pg_stat_activity
                                    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%reset_handler%'
                                    """
                                ) == "1"
                            }
                            // The first stream that is set aside: its foreign key locks the handler.
                            try await hand.fail(3, in: transaction)
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(try await store.handlers.status(of: "billing").checkpoint == .start)
            }
        }

        @Test("a time is the position before the first event that was stored since, whatever the order of the clocks")
        func positionBefore() async throws {
            try await withTestStore { store in
                // Two years; every tenth event is an hour early, and every position that seven divides was rolled back.
                try await store.client.script(
                    """
                    DELETE FROM millrace.closed_months;
                    UPDATE millrace.store SET open_since = '-infinity';
                    SELECT millrace.make_partition(m::date)
                    FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC') - interval '24 months',
                                         date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month', interval '1 month') AS m;
                    INSERT INTO millrace.events (
                        id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at
                    )
                    SELECT n, uuidv7(), 'a', 'order', n::text, 1, '{}', now(),
                           now() - make_interval(hours => (4000 - n) * 4 + CASE n % 10 WHEN 0 THEN 1 ELSE 0 END)
                    FROM generate_series(1, 3999) AS n
                    WHERE n % 7 <> 0;
                    SELECT setval('millrace.events_id_seq', 4000);
                    """
                )
                for closed in [false, true] {
                    let wrong = try await store.client.texts(
                        """
                        SELECT format('%s: %s, not %s', t, f.found, w.wanted)
                        FROM generate_series(now() - interval '23 months', now() + interval '1 day', interval '30 hours 7 minutes') AS t
                        CROSS JOIN LATERAL (SELECT millrace.position_before(t) AS found) AS f
                        CROSS JOIN LATERAL (
                            SELECT coalesce(max(e.id), 0) AS wanted FROM millrace.events AS e
                            WHERE e.id < coalesce((SELECT min(n.id) FROM millrace.events AS n WHERE n.created_at >= t), 5000)
                        ) AS w
                        WHERE f.found <> w.wanted
                        """
                    )
                    #expect(wrong == [], "closed: \(closed)")
                    try await Migrator(client: store.client).closeMonths()
                }
                #expect(try await store.handlers.position(before: .distantPast) == .start)
                #expect(try await store.handlers.position(before: .distantFuture) == Position(3_999))

                try await HandWorker(store.client, "billing").register()
                let time = try await store.client.query("SELECT created_at FROM millrace.events WHERE id = 2001")
                    .single()
                    .decode(Date.self, at: 0)
                #expect(try await store.handlers.reset("billing", to: .time(time)).to == Position(2_000))
            }
        }

        @Test("a reset goes no further than the log, and not before it")
        func bounds() async throws {
            try await withTestStore { store in
                try await HandWorker(store.client, "billing").register()
                try await OperatingTests.publish(3, to: store.client)
                #expect(try await store.handlers.reset("billing", to: .after(Position(1_000))).to == Position(3))
                #expect(try await store.handlers.reset("billing", to: .start).to == .start)
                try await expectRefusal("MR011", "p_position", "-1") {
                    try await store.client.run("SELECT millrace.reset_handler('billing', -1)")
                }
                try await expectRefusal("MR011", "p_position", "missing") {
                    try await store.client.run("SELECT millrace.reset_handler('billing', NULL)")
                }
                try await expectRefusal("MR011", "p_time") {
                    try await store.client.run("SELECT millrace.position_before(NULL)")
                }
                try await expectRefusal("MR011", "p_state") {
                    try await store.client.run("SELECT millrace.stop_handler('billing', NULL, NULL)")
                }
            }
        }

        @Test("a replay is asked for as far as the handler has come, one at a time, and ends where it is cancelled")
        func replays() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(types: ["a"], lanes: 1)
                try await OperatingTests.publish(6, to: store.client)
                try await OperatingTests.publish(2, type: "b", to: store.client)
                try await OperatingTests.publish(2, to: store.client)
                try await hand.lease()
                try await hand.succeed(9)

                let plan = try await store.handlers.replay("billing", from: Position(3), dryRun: true)
                #expect(plan.id == nil && plan.last == Position(9) && plan.events == .init(events: 5, isExact: true))
                #expect(try await store.handlers.replays().isEmpty)
                let asked = try await store.handlers.replay("billing", from: Position(3), through: Position(4))
                let id = try #require(asked.id)
                #expect(asked.first == Position(3) && asked.last == Position(4) && asked.events.events == 2)
                do {
                    _ = try await store.handlers.replay("billing", from: .start)
                    Issue.record("two replays at a time")
                } catch EventStoreError.handlerRefused(let message, let hint) {
                    #expect(message.contains("replay \(id)") && hint?.contains("cancel_replay") == true)
                }
                var replay = try #require(try await store.handlers.replays(of: "billing").first)
                #expect(
                    replay.state == .open && replay.checkpoint == Position(2) && replay.lanes == 1
                        && replay.lanesDone == 0
                )
                #expect(try await store.handlers.cancelReplay(id) == .open)
                #expect(try await store.handlers.cancelReplay(id) == .cancelled)
                replay = try #require(try await store.handlers.replays().first)
                #expect(
                    replay.state == .cancelled && replay.cancelledBy == replay.requestedBy && replay.cancelledAt != nil
                )

                let second = try #require(try await store.handlers.replay("billing", from: .start).id)
                try await store.client.run("UPDATE millrace.handler_replay_lanes SET checkpoint = 9, processed = 7")
                #expect(try await store.handlers.cancelReplay(second) == .finished)
                #expect(try await store.handlers.actions().map(\.kind) == [.replay, .cancelReplay, .replay])

                try await expectRefusal("MR011", "p_first_position", "10") {
                    try await store.client.run("SELECT millrace.request_replay('billing', 10)")
                }
                try await expectRefusal("MR011", "p_first_position", "missing") {
                    try await store.client.run("SELECT millrace.request_replay('billing', NULL)")
                }
                try await expectRefusal("MR011", "p_last_position") {
                    try await store.client.run("SELECT millrace.request_replay('billing', 5, 4)")
                }
                try await expectRefusal("MR011", "p_replay_id", "77") {
                    try await store.client.run("SELECT millrace.cancel_replay(77)")
                }
            }
        }
    }
}
