import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// The tests of what operators do with handlers.
@Suite("operating handlers")
enum OperatingTests {
    /// Publishes so many events, one after the other over so many streams: positions 1, 2, 3 …
    static func publish(_ count: Int, streams: Int = 4, type: String = "a", to client: PostgresClient) async throws {
        try await client.query(
            """
            SELECT millrace.publish_event($1, (n % $2)::text, 'order', jsonb_build_object('n', n)) FROM generate_series(1, $3) AS n
            """,
            [.text(type), .int4(Int32(streams)), .int4(Int32(count))]
        )
    }
}

extension OperatingTests {
    @Suite("looking")
    struct LookingTests {
        @Test("a handler's events are each counted once, as what they are")
        func everyEventIsOneThing() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register(types: ["a"])
                try await OperatingTests.publish(10, to: store.client)
                try await OperatingTests.publish(3, type: "b", to: store.client)
                let fresh = try await store.handlers.status(of: "billing")
                #expect(fresh.pending == .init(events: 10, isExact: true))
                #expect(fresh.lag > .zero)
                #expect(fresh.workers == 0 && fresh.lanesLeased == 0 && fresh.lanes == 4)
                #expect(fresh.filter == .eventTypes("a"))

                try await hand.lease()
                try await hand.succeed(1)
                try await hand.fail(2, error: "first")
                try await hand.fail(3, error: "second", retryIn: .seconds(1_000))
                try await hand.succeed(4)
                try await hand.succeed(5)
                try await hand.passBy(6)
                for counted in [false, true] {
                    let status = try await store.handlers.status(of: "billing")
                    #expect(status.processed == 3)
                    #expect(status.parked == 1 && status.retrying == 1 && status.discarding == 0 && status.waiting == 1)
                    #expect(status.pending == .init(events: 4, isExact: true), "counted: \(counted)")
                    #expect(status.lastError == "second")
                    #expect(status.workers == 1 && status.lanesLeased == 4)
                    #expect(status.state == .active && status.reason == nil)
                    try await store.client.run("SELECT millrace.count_events()")
                }
                for position in 7...10 as ClosedRange<Int64> { try await hand.succeed(position) }
                let done = try await store.handlers.status(of: "billing")
                #expect(done.pending == .init(events: 0, isExact: true))
                #expect(done.lag == .zero)
            }
        }

        @Test("what nobody has counted is counted up to a limit, and said to be more")
        func manyUncounted() async throws {
            try await withTestStore { store in
                try await HandWorker(store.client, "all").register()
                try await HandWorker(store.client, "rare").register(types: ["rare"])
                try await store.client.run(
                    """
                    INSERT INTO millrace.events (
                        id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at
                    )
                    SELECT n, uuidv7(), 'usual', 'o', n::text, 1, '{}', now(), now() FROM generate_series(1, 100002) AS n
                    """
                )
                try await store.client.run("SELECT setval('millrace.events_id_seq', 100002)")
                var all = try await store.handlers.status(of: "all")
                #expect(all.pending == .init(events: 100_001, isExact: false))
                var rare = try await store.handlers.status(of: "rare")
                #expect(rare.pending == .init(events: 0, isExact: false))

                try await store.client.run("SELECT millrace.count_events()")
                all = try await store.handlers.status(of: "all")
                #expect(all.pending == .init(events: 100_002, isExact: true))
                rare = try await store.handlers.status(of: "rare")
                #expect(rare.pending == .init(events: 0, isExact: true))
                #expect(rare.lag == .zero)
            }
        }

        @Test("a lane shows its own events, up to a limit, and who has it")
        func lanes() async throws {
            try await withTestStore { store in
                let hand = HandWorker(store.client, "billing")
                try await hand.register()
                try await OperatingTests.publish(200, streams: 50, to: store.client)
                let expected = try await store.client.query(
                    """
                    SELECT n::int, count(e.id)
                    FROM generate_series(0, 3) AS n
                    LEFT JOIN millrace.events AS e ON millrace.lane_of(e.aggregate_type, e.aggregate_id, 4) = n
                    GROUP BY n ORDER BY n
                    """
                ).map { try $0.decode(Int64.self, at: 1) }
                let free = try await store.handlers.lanes(of: "billing")
                #expect(free.map(\.lane) == [0, 1, 2, 3])
                #expect(free.map { $0.pending?.events ?? -1 } == expected)
                #expect(free.allSatisfy { $0.pending?.isExact == true && $0.lag ?? .zero > .zero })
                #expect(free.allSatisfy { $0.worker == nil && $0.leasedUntil == nil })

                try await hand.lease()
                try await hand.fail(200)
                let held = try await store.handlers.lanes(of: "billing")
                #expect(held.allSatisfy { $0.worker == HandWorker.name && ($0.leasedUntil ?? .distantPast) > .now })
                let settled = held.filter { $0.checkpoint == Position(200) }
                #expect(settled.map(\.pending) == [.init(events: 0, isExact: true)])
                #expect(settled.map(\.lag) == [.zero])
                #expect(settled.map(\.parked) == [1])
                #expect(held.reduce(0) { $0 + $1.parked } == 1)
            }
        }

        @Test("lanes that are far apart are each counted from where they are")
        func lanesFarApart() async throws {
            try await withTestStore { store in
                try await HandWorker(store.client, "all").register(lanes: 2)
                try await store.client.run(
                    """
                    INSERT INTO millrace.events (
                        id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at
                    )
                    SELECT n, uuidv7(), 'usual', 'o', n::text, 1, '{}', now(), now() FROM generate_series(1, 25000) AS n
                    """
                )
                try await store.client.run("SELECT setval('millrace.events_id_seq', 25000)")
                try await store.client.run("UPDATE millrace.handler_lanes SET checkpoint = 20000 WHERE lane = 1")
                let lanes = try await store.handlers.lanes(of: "all")
                let first = try await store.client.text(
                    "SELECT count(*)::text FROM millrace.events WHERE id <= 10000 AND millrace.lane_of(aggregate_type, aggregate_id, 2) = 0"
                )
                let second = try await store.client.text(
                    "SELECT count(*)::text FROM millrace.events WHERE id > 20000 AND millrace.lane_of(aggregate_type, aggregate_id, 2) = 1"
                )
                #expect(lanes[0].pending.map { "\($0.events)" } == first && lanes[0].pending?.isExact == false)
                #expect(lanes[1].pending.map { "\($0.events)" } == second && lanes[1].pending?.isExact == true)
            }
        }

        @Test("an unknown handler is refused by name, whatever is asked of it")
        func unknown() async throws {
            try await withTestStore { store in
                let handlers = store.handlers
                let filter = ParkedFilter(handler: "nobody")
                let asked: [@Sendable () async throws -> Void] = [
                    { _ = try await handlers.status(of: "nobody") },
                    { _ = try await handlers.lanes(of: "nobody") },
                    { try await handlers.pause("nobody") },
                    { try await handlers.resume("nobody") },
                    { _ = try await handlers.reset("nobody", to: .start, dryRun: true) },
                    { _ = try await handlers.reset("nobody", to: .start) },
                    { _ = try await handlers.parked(filter) },
                    { try await handlers.retryParked(filter) },
                    { try await handlers.discardParked(filter, reason: "none") },
                    { try await handlers.editParked(filter, data: .emptyObject) },
                    { _ = try await handlers.replay("nobody", from: .start) },
                    { _ = try await handlers.replays(of: "nobody") },
                ]
                for ask in asked {
                    do {
                        try await ask()
                        Issue.record("was not refused")
                    } catch EventStoreError.handlerRefused(let message, let hint) {
                        #expect(message.contains("'nobody'"))
                        #expect(hint?.isEmpty == false)
                    }
                }
                #expect(try await handlers.list().isEmpty)
                #expect(try await handlers.parked().isEmpty)
            }
        }

        @Test("a consumer looks and pauses, and changes nothing else; an administrator may all of it")
        func privileges() async throws {
            try await withTestDatabase { client in
                let hand = HandWorker(client, "billing")
                try await hand.register()
                try await OperatingTests.publish(4, to: client)
                try await hand.lease()
                try await hand.fail(1)
                let looks = [
                    "list_handlers()", "list_lanes('billing')", "list_parked()", "list_replays()", "list_actions()",
                    "list_attempts('billing', 1)", "position_before(now())",
                ]
                let changes = [
                    "edit_parked('{}')", "discard_parked('why')", "retry_parked()", "reset_handler('billing', 0)",
                    "request_replay('billing', 0)", "cancel_replay(1)", "resume_handler('billing')",
                ]
                try await client.withConnection { connection in
                    for role in ["millrace_consumer", "millrace_admin"] {
                        try await connection.run("SET ROLE \(role)")
                        for look in looks { try await connection.run("SELECT * FROM millrace.\(look)") }
                        try await connection.run("SELECT millrace.stop_handler('billing', 'paused', 'a test')")
                    }
                    for change in changes { try await connection.run("SELECT * FROM millrace.\(change)") }
                    for role in ["millrace_consumer", "millrace_publisher"] {
                        try await connection.run("SET ROLE \(role)")
                        for change in changes {
                            try await expectRefusal(.insufficientPrivilege) {
                                try await connection.run("SELECT * FROM millrace.\(change)")
                            }
                        }
                    }
                    try await connection.run("RESET ROLE")
                }
            }
        }
    }
}
