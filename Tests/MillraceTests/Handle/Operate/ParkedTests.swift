import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension OperatingTests {
    @Suite("streams that wait")
    struct ParkedTests {
        /// Two handlers; one has the streams 1 and 2 parked, and 3 retrying, the other stream 1 parked.
        private func set(_ store: EventStore) async throws -> (HandWorker, HandWorker) {
            let (billing, shipping) = (HandWorker(store.client, "billing"), HandWorker(store.client, "shipping"))
            for hand in [billing, shipping] {
                try await hand.register()
            }
            try await OperatingTests.publish(3, type: "order.paid", to: store.client)
            try await store.client.run("SELECT millrace.publish_event('other', '9', 'invoice', '{}')")
            for hand in [billing, shipping] { try await hand.lease() }
            try await billing.fail(1, error: "the bank had a Timeout", waiting: 5)
            try await billing.fail(2, error: "no such account")
            try await billing.fail(3, error: "timeout again", attempts: 2, retryIn: .seconds(1_000))
            try await shipping.fail(1, error: "a timeout")
            try await shipping.fail(4, error: "100% wrong")
            return (billing, shipping)
        }

        private func due(_ store: EventStore, _ handler: String) async throws -> [String?] {
            try await store.client.texts(
                """
                SELECT format('%s %s %s %s', d.id, d.status, d.attempts, coalesce(d.edited_data, d.event_data))
                FROM generate_series(0, 3) AS n
                CROSS JOIN LATERAL millrace.due_events('\(handler)', n, 100) AS d
                ORDER BY d.id
                """
            )
        }

        @Test("a filter means those that fulfil all of it")
        func filters() async throws {
            try await withTestStore { store in
                _ = try await set(store)
                func found(_ filter: ParkedFilter) async throws -> [String] {
                    try await store.handlers.parked(filter).map { "\($0.handler) \($0.position)" }
                }
                #expect(try await found(.all) == ["billing 1", "billing 2", "billing 3", "shipping 1", "shipping 4"])
                #expect(try await found(.init(handler: "billing")) == ["billing 1", "billing 2", "billing 3"])
                #expect(try await found(.init(aggregateType: "invoice")) == ["shipping 4"])
                #expect(try await found(.init(aggregateID: "1")) == ["billing 1", "shipping 1"])
                #expect(try await found(.init(eventType: "order.paid", status: .retrying)) == ["billing 3"])
                #expect(try await found(.init(error: "%TIMEOUT%")) == ["billing 1", "billing 3", "shipping 1"])
                #expect(try await found(.init(error: "timeout")) == [])
                #expect(try await found(.init(error: #"100\%%"#)) == ["shipping 4"])
                #expect(
                    try await found(.init(handler: "billing", error: "%timeout%", status: .parked)) == ["billing 1"]
                )
                let first = try #require(try await store.handlers.parked(.init(handler: "billing"), limit: 1).first)
                #expect(first.stream == StreamID("order", "1") && first.version == 1 && first.attempts == 3)
                #expect(first.waiting == 5 && first.errorKind == "Test" && first.nextAttemptAt == nil)
                #expect(try await found(.init(eventID: first.eventID)) == ["billing 1", "shipping 1"])
                #expect(try await store.handlers.parked(limit: 2).count == 2)

                for limit in [0, 100_001] {
                    try await expectRefusal("MR011", "p_limit", "\(limit)") {
                        try await store.client.run("SELECT millrace.list_parked(p_limit => \(limit))")
                    }
                }
                try await expectRefusal("MR011", "p_status", "lost") {
                    try await store.client.run("SELECT millrace.list_parked(p_status => 'lost')")
                }
            }
        }

        @Test("a dry run of any change shows what is meant, and changes nothing")
        func dryRuns() async throws {
            try await withTestStore { store in
                _ = try await set(store)
                let before = try await store.handlers.parked()
                let meant = before.filter { $0.handler == "billing" }
                let filter = ParkedFilter(handler: "billing")
                #expect(try await store.handlers.retryParked(filter, dryRun: true) == meant)
                #expect(try await store.handlers.discardParked(filter, reason: "why", dryRun: true) == meant)
                let edited = try await store.handlers.editParked(
                    filter,
                    data: JSON(#"{"x":1}"#),
                    merging: true,
                    dryRun: true
                )
                #expect(edited.map { $0.editedData?.text } == ["1", "2", "3"].map { #"{"n": \#($0), "x": 1}"# })
                #expect(try await store.handlers.parked() == before)
                #expect(try await store.handlers.actions().isEmpty)
                #expect(try await store.handlers.lanes(of: "billing").allSatisfy { $0.worker != nil })
            }
        }

        @Test("retried streams are due at once, as if they had never failed, and nobody's work is called off")
        func retry() async throws {
            try await withTestStore { store in
                let (billing, _) = try await set(store)
                let retried = try await store.handlers.retryParked(.init(handler: "billing", error: "%timeout%"))
                #expect(retried.map(\.position) == [Position(1), Position(3)])
                #expect(retried.allSatisfy { $0.status == .retrying && $0.attempts == 0 && $0.nextAttemptAt != nil })
                #expect(try await due(store, "billing") == [#"1 retrying 0 {"n": 1}"#, #"3 retrying 0 {"n": 3}"#])
                #expect(try await due(store, "shipping") == [])
                #expect(try await store.handlers.lanes(of: "billing").allSatisfy { $0.worker == HandWorker.name })
                let actions = try await store.handlers.actions(of: "billing", on: Position(1))
                #expect(actions.map(\.kind) == [.retry])
                #expect(actions[0].details?.text.contains("the bank had a Timeout") == true)
                let attempts = try await store.handlers.attempts(of: "billing", on: Position(1))
                #expect(attempts.map(\.status) == [.parked] && attempts[0].error == "the bank had a Timeout")
                try await billing.succeed(1)
            }
        }

        @Test("a discard has a reason, which the worker finds and the log of actions keeps")
        func discard() async throws {
            try await withTestStore { store in
                _ = try await set(store)
                for reason in ["", "  ", String(repeating: "x", count: 2_001)] {
                    do {
                        try await store.handlers.discardParked(.all, reason: reason)
                        Issue.record("was not refused")
                    } catch EventStoreError.invalidEvent(let message, let hint) {
                        #expect(message.contains("p_reason") && hint != nil)
                    }
                }
                let discarded = try await store.handlers.discardParked(
                    .init(handler: "billing", status: .parked),
                    reason: "test orders"
                )
                #expect(discarded.map(\.position) == [Position(1), Position(2)])
                #expect(discarded.allSatisfy { $0.status == .discarding && $0.discardReason == "test orders" })
                #expect(
                    try await store.client.texts(
                        """
                        SELECT d.id || ' ' || d.discard_reason
                        FROM generate_series(0, 3) AS n CROSS JOIN LATERAL millrace.due_events('billing', n, 100) AS d ORDER BY d.id
                        """
                    ) == ["1 test orders", "2 test orders"]
                )
                let actions = try await store.handlers.actions(of: "billing", on: Position(2))
                #expect(actions.map(\.kind) == [.discard] && actions[0].reason == "test orders")
                #expect(actions[0].eventID == discarded[1].eventID)

                // Decided is decided: a retry of everything leaves it alone.
                #expect(
                    try await store.handlers.retryParked(.init(handler: "billing")).map(\.position) == [Position(3)]
                )
                #expect(try await store.handlers.editParked(.init(handler: "billing"), data: .emptyObject).count == 1)
                let back = try await store.handlers.retryParked(.init(handler: "billing", status: .discarding))
                #expect(back.map(\.position) == [Position(1), Position(2)])
                #expect(back.allSatisfy { $0.status == .retrying && $0.discardReason == nil })
                try await expectRefusal("MR011", "p_status") {
                    try await store.client.run("SELECT millrace.discard_parked('why', p_status => 'discarding')")
                }
            }
        }

        @Test("a worker that passes a discarded head over leaves no reason on the next one")
        func nextHead() async throws {
            try await withTestStore { store in
                let (billing, _) = try await set(store)
                try await store.client.run("SELECT millrace.publish_event('order.paid', '1', 'order', '{}')")
                try await store.handlers.discardParked(.init(handler: "billing", aggregateID: "1"), reason: "a test")
                try await billing.lease()
                try await billing.fail(5, error: "the next", waiting: 4)
                let next = try #require(
                    try await store.handlers.parked(.init(handler: "billing", aggregateID: "1")).first
                )
                #expect(next.position == Position(5) && next.status == .parked && next.discardReason == nil)
            }
        }

        @Test("an edit is what the handler gets, is merged where that is wanted, and is taken back")
        func edit() async throws {
            try await withTestStore { store in
                _ = try await set(store)
                let one = ParkedFilter(handler: "billing", aggregateID: "1")
                let merged = try await store.handlers.editParked(one, data: JSON(#"{"currency":"EUR"}"#), merging: true)
                #expect(merged.map { $0.editedData?.text } == [#"{"n": 1, "currency": "EUR"}"#])
                #expect(merged[0].editedBy?.isEmpty == false && merged[0].status == .parked)
                let more = try await store.handlers.editParked(one, data: JSON(#"{"n":7}"#), merging: true)
                #expect(more[0].editedData?.text == #"{"n": 7, "currency": "EUR"}"#)
                #expect(try await due(store, "billing") == [])
                let whole = try await store.handlers.editParked(one, data: JSON("[1]"), retrying: true)
                #expect(whole[0].editedData?.text == "[1]" && whole[0].status == .retrying && whole[0].attempts == 0)
                #expect(try await due(store, "billing") == ["1 retrying 0 [1]"])
                #expect(
                    try await store.client.text("SELECT event_data::text FROM millrace.events WHERE id = 1")
                        == #"{"n": 1}"#
                )
                do {
                    try await store.handlers.editParked(one, data: JSON(#"{"n":7}"#), merging: true)
                    Issue.record("an array was merged")
                } catch EventStoreError.invalidEvent(let message, _) {
                    #expect(message.contains("position 1") && message.contains("array"))
                }
                let none = try await store.handlers.editParked(one, data: nil)
                #expect(none[0].editedData == nil && none[0].editedBy == nil)
                let actions = try await store.handlers.actions(of: "billing", on: Position(1))
                #expect(actions.map(\.kind) == [.edit, .retry, .edit, .edit, .edit])
                #expect(actions[0].details?.text == #"{"before": [1], "edited_data": null}"#)

                try await store.client.run("UPDATE millrace.store SET max_event_bytes = 1000")
                try await expectRefusal("MR002", "p_event_data", "1000") {
                    try await store.client.run(
                        "SELECT millrace.edit_parked(to_jsonb(array_agg(random())), p_handler_id => 'billing') FROM generate_series(1, 1000)"
                    )
                }
                try await expectRefusal("MR011", "p_event_data", "array") {
                    try await store.client.run("SELECT millrace.edit_parked('[]', true)")
                }
            }
        }

        @Test(
            "work on an event that is edited or discarded meanwhile is called off, and on no other",
            arguments: ["edit_parked('{}', p_aggregate_id => '1')", "discard_parked('why', p_aggregate_id => '1')"]
        )
        func inHand(change: String) async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(lanes: 2)
                // Streams in both lanes.
                try await OperatingTests.publish(8, streams: 8, to: store.client)
                let tokens = try await hand.lease()
                let lanes = try await store.client.query(
                    "SELECT id, millrace.lane_of(aggregate_type, aggregate_id, 2) FROM millrace.events WHERE id < 8 ORDER BY id"
                ).map { (try $0.decode(Int64.self, at: 0), try $0.decode(Int.self, at: 1)) }
                let mine = lanes[0].1
                let other = try #require(lanes.first { $0.1 != mine })
                try await hand.fail(1, retryIn: .zero)
                #expect(try await due(store, "billing").count == 1)
                try await store.client.run("SELECT millrace.\(change)")
                try await expectRefusal("MR016") { try await hand.succeed(1, token: tokens[mine]) }
                try await hand.succeed(other.0, token: tokens[1 - mine])
                #expect(try await hand.lease().keys.sorted() == [mine])
            }
        }

        @Test("a limit takes the first ones, and what is left the next time")
        func limited() async throws {
            try await withTestStore { store in
                _ = try await set(store)
                let filter = ParkedFilter(status: .parked)
                #expect(
                    try await store.handlers.discardParked(filter, reason: "x", limit: 3).map(\.handler) == [
                        "billing", "billing", "shipping",
                    ]
                )
                #expect(
                    try await store.handlers.discardParked(filter, reason: "x", limit: 3).map(\.position) == [
                        Position(4)
                    ]
                )
                #expect(try await store.handlers.discardParked(filter, reason: "x", limit: 3).isEmpty)
            }
        }

        @Test("a change within a transaction that is rolled back leaves nothing")
        func rolledBack() async throws {
            struct Regret: Error {}
            try await withTestStore { store in
                _ = try await set(store)
                let before = try await store.handlers.parked()
                await #expect(throws: Regret.self) {
                    try await store.withTransaction { transaction in
                        try await store.handlers.discardParked(.all, reason: "no", in: transaction)
                        try await store.handlers.pause("billing", in: transaction)
                        throw Regret()
                    }
                }
                #expect(try await store.handlers.parked() == before)
                #expect(try await store.handlers.status(of: "billing").state == .active)
                #expect(try await store.handlers.actions().isEmpty)
            }
        }

        @Test("operators who change everything at once and workers who settle do not wait for each other in a circle")
        func race() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(lanes: 4)
                try await OperatingTests.publish(40, streams: 40, to: store.client)
                try await hand.lease()
                for position in 1...40 as ClosedRange<Int64> { try await hand.fail(position) }
                try await within(.seconds(300), "all of them are through") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<2 {
                            group.addTask {
                                for round in 0..<20 {
                                    try await store.handlers.retryParked(.all)
                                    try await store.handlers.editParked(.all, data: JSON("{\"round\":\(round)}"))
                                }
                            }
                        }
                        for worker in 0..<4 {
                            group.addTask {
                                for round in 0..<20 {
                                    // All streams of a lane, in another order each time.
                                    let lane = (worker + round) % 4
                                    try await store.client.run(
                                        """
                                        SELECT millrace.settle_lane('billing', l.lane, l.token, l.checkpoint, NULL, 'w', '{}', '{}', '{}', '{}', '{}',
                                            '{}', '{}', '{}', '{}', '{}', (
                                                SELECT jsonb_agg(jsonb_build_object('change', 'wait', 'aggregate_type', p.aggregate_type,
                                                           'aggregate_id', p.aggregate_id, 'waiting', 1) ORDER BY random())
                                                FROM millrace.parked_events AS p WHERE p.lane = l.lane))
                                        FROM (
                                            SELECT n.* FROM millrace.handler_lanes AS n WHERE n.lane = \(lane) FOR UPDATE
                                        ) AS l
                                        """
                                    )
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                let parked = try await store.handlers.parked()
                #expect(parked.count == 40 && parked.allSatisfy { $0.editedData != nil && $0.status == .retrying })
                // Each of the four settles each lane five times.
                #expect(parked.allSatisfy { $0.waiting == 20 })
            }
        }
    }
}
