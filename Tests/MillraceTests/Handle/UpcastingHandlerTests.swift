import Logging
import Millrace
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

/// Handlers are given what events mean now, while their checkpoints, retries and what waits go on speaking of stored ones.
@Suite(.timeLimit(.minutes(15)))
struct UpcastingHandlerTests {
    private struct Refused: Error {}

    private func withHandling(_ body: (Handling) async throws -> Void) async throws {
        try await withStore(connections: 20) { store in try await body(Handling(store)) }
    }

    private static let quick = HandlerRetryPolicy(
        attempts: 2,
        backoff: PostgresBackoff(initial: .milliseconds(1), maximum: .milliseconds(1))
    )

    private func noting(_ name: String, _ types: String..., lanes: Int = 4) -> Handler {
        Handler(
            name,
            matching: EventFilter(eventTypes: types),
            options: HandlerOptions(lanes: lanes, retry: Self.quick)
        ) { event, context in
            try await Handling.note(event, context)
            return .done
        }
    }

    private let renaming = Upcasters().rename("order.created", to: "order.placed")

    @Test func aHandlerGoesOnUnderTheNewNameWithNothingLostOrDoubled() async throws {
        try await withHandling { handling in
            try await handling.publish(streams: 10, events: 3, type: "order.created")
            _ = try await handling.store.handleEverything(with: noting("h", "order.created"))
            try await handling.publish(streams: 10, events: 2, type: "order.created")

            let store = EventStore(handling.store.client, upcasters: renaming)
            let renamed = noting("h", "order.placed")
            let report = try await store.handleEverything(with: renamed)
            #expect(report.processed == 50)
            try await handling.publish(streams: 10, events: 2, type: "order.placed")
            _ = try await store.handleEverything(with: renamed)
            expectStreamOrder(try await handling.effects(of: "h"), streams: 10, events: 7)
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s %s', event_type, processed_events, pending_events) FROM millrace.event_processing_stats ORDER BY event_type"
                ) == ["order.created 50 0", "order.placed 20 0"]
            )
            // The old code must not come back and go past the new events.
            await #expect(throws: EventStoreError.self) {
                try await HandlerWorker(handling.store, handlers: [noting("h", "order.created")]).run()
            }
        }
    }

    @Test func aProcessThatDoesNotKnowTheNewNameLeavesTheHandlerToOthers() async throws {
        try await withHandling { handling in
            let (old, new) = (noting("h", "order.created"), noting("h", "order.placed"))
            let worker = HandlerWorker(handling.store, handlers: [old], options: Handling.options, logger: silent)
            let working = Task { try await worker.run() }
            try await eventually("the old process has all lanes") { worker.lanes["h"]?.count == 4 }
            try await handling.publish(streams: 8, events: 2, type: "order.created")

            let store = EventStore(handling.store.client, upcasters: renaming)
            try await store.working([new]) {
                try await within(.seconds(60), "the old process leaves") {
                    try await withTaskCancellationHandler {
                        try await working.value
                    } onCancel: {
                        worker.stop()
                    }
                }
                try await handling.publish(streams: 8, events: 3, type: "order.placed")
                try await store.waitUntilHandled(by: "h")
            }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 8, events: 5)
        }
    }

    @Test func moreEventsAreRefusedWhereALaneHasPassedSomeOfThem() async throws {
        try await withHandling { handling in
            let client = handling.store.client
            func register(_ types: String, _ aggregates: String = "NULL") async throws -> String? {
                try await client.text(
                    "SELECT millrace.register_handler('h', 'swift', NULL, \(types), \(aggregates), 2, 0, 'none', 1, 0, 0, 1)"
                )
            }
            let worker = HandWorker(client, "h")
            #expect(try await register("'{a}'", "'{s}'") == "registered")
            #expect(try await register("'{a}'", "'{s}'") == "present")
            try await handling.publish(streams: 1, events: 1, type: "a")
            try await handling.publish(streams: 1, events: 1, type: "b")
            try await handling.publish(streams: 1, events: 1, type: "a")
            _ = try await worker.lease()
            try await worker.succeed(1)
            // It stands before the first b.
            #expect(try await register("'{b, a}'", "'{s}'") == "widened")
            // And all leases are void.
            try await expectRefusal("MR016", "lane") { try await worker.succeed(2, token: 1) }
            try await worker.succeed(2)
            try await worker.succeed(3)
            #expect(try await register("'{a, b, c}'", "'{s, t}'") == "widened")
            try await expectRefusal("MR015", "registered otherwise") { _ = try await register("'{a, b}'", "'{s, t}'") }
            try await expectRefusal("MR015", "registered otherwise") { _ = try await register("'{a, b, c}'", "'{s}'") }
            try await handling.publish(streams: 1, events: 1, type: "d")
            try await handling.publish(streams: 1, events: 1, type: "a")
            try await worker.succeed(5)
            try await expectRefusal("MR015", "'d'", "passed position 5") { _ = try await register("NULL", "'{s, t}'") }
            #expect(try await register("'{a, b, c, e}'", "NULL") == "widened")
            try await expectRefusal("MR015", "'d'") { _ = try await register("'{a, b, c, d, e}'") }
            #expect(try await client.text("SELECT event_types::text FROM millrace.event_handlers") == "{a,b,c,e}")
        }
    }

    @Test func everyEventMayBeGivenWhereThereAreNoOthers() async throws {
        try await withHandling { handling in
            let client = handling.store.client
            let register = "SELECT millrace.register_handler('h', 'swift', NULL, %, NULL, 2, 0, 'none', 1, 0, 0, 1)"
            func registering(_ types: String) -> String { register.replacing("%", with: types) }
            _ = try await client.text(registering("'{a}'"))
            try await handling.publish(streams: 3, events: 1, type: "a")
            #expect(try await client.text(registering("NULL")) == "widened")
            #expect(try await client.text(registering("NULL")) == "present")
            try await expectRefusal("MR015", "all") { _ = try await client.text(registering("'{a}'")) }
        }
    }

    @Test func aFunctionOfTheDatabaseIsFoundAgainWithItsNewEvents() async throws {
        try await withHandling { handling in
            try await handling.store.client.script(
                """
                CREATE FUNCTION public.note(event millrace.events) RETURNS void LANGUAGE sql AS
                    $$ INSERT INTO public.effects (handler, position, stream, version)
                       VALUES ('f', event.id, event.aggregate_type || '/' || event.aggregate_id, event.version) $$;
                SELECT millrace.register_sql_handler('f', '{a}', 'public.note', p_lanes => 2);
                """
            )
            var options = Handling.options
            options.runsSQLHandlers = true
            try await handling.working([], options: options) { worker in
                try await handling.publish(streams: 4, events: 1, type: "a")
                try await handling.store.waitUntilHandled(by: "f")
                _ = try await handling.store.client.text(
                    "SELECT millrace.register_sql_handler('f', '{a, b}', 'public.note', p_lanes => 2)"
                )
                try await handling.publish(streams: 4, events: 1, type: "b")
                try await handling.store.waitUntilHandled(by: "f")
            }
            expectStreamOrder(try await handling.effects(of: "f"), streams: 4, events: 2)
        }
    }

    @Test func aHandlerOfATypeThatIsNoMoreIsRefused() async throws {
        try await withStore(upcasters: OldShop.upcasters) { store in
            for type in ["order.created", "order.viewed", "order.paid_and_packed"] {
                let worker = HandlerWorker(store, handlers: [noting("h", type)], logger: silent)
                let error = try await #require(throws: EventStoreError.self) { try await worker.run() }
                guard case .handlerRefused(let message, _) = error else { throw error }
                #expect(message.contains(type))
            }
        }
    }

    @Test func partsAreHandledInOrderAndRetriedTogether() async throws {
        try await withStore(upcasters: OldShop.upcasters) { store in
            let handling = try await Handling(store)
            try await OldShop.publish(to: store)
            let seen = Mutex<[String]>([])
            let handler = Handler(
                "h",
                matching: .eventTypes("order.paid", "order.packed"),
                options: HandlerOptions(lanes: 1, retry: Self.quick)
            ) { event, context in
                try await context.transaction.query(
                    "INSERT INTO effects (handler, position, stream, version) VALUES ($1, $2, $3, $4)",
                    [
                        .text(context.handler), .int8(event.position.rawValue * 10 + Int64(event.part)),
                        .text("\(event.stream)"), .int4(Int32(event.version)),
                    ]
                )
                seen.withLock {
                    $0.append("\(event.part) \(context.idempotencyKey.split(separator: "/").dropFirst(2).joined())")
                }
                return event.part == 1 && context.attempt == 1 ? .retry(because: "not yet") : .done
            }
            let report = try await store.handleEverything(with: handler)
            #expect(report.processed == 2 && report.parked.isEmpty)
            #expect(Set(try await handling.effects(of: "h").map(\.position)) == [50, 51, 60])
            #expect(Set(seen.withLock { $0 }) == ["0 ", "1 part-1"])
            #expect(
                try await handling.texts(
                    "SELECT status || ' ' || event_type FROM millrace.event_audit ORDER BY processed_at"
                ) == ["retrying order.paid_and_packed"]
            )
        }
    }

    @Test(arguments: [false, true])
    func aStepThatThrowsFailsItsEventAsTheHandlerWould(isBatch: Bool) async throws {
        try await withStore(upcasters: OldShop.broken) { store in
            let handling = try await Handling(store)
            for id in ["a", "b"] {
                let types = ["order.noted", id == "a" ? "order.broken" : "order.noted", "order.noted"]
                try await store.append(
                    types.map { OldShop.event($0, #"{"secret": false}"#) },
                    to: StreamID("order", id)
                )
            }
            let options = HandlerOptions(lanes: 1, retry: Self.quick)
            let handler =
                isBatch
                ? Handler.batches("h", options: options) { events, context in
                    for event in events { try await Handling.note(event, context) }
                    return .done
                }
                : Handler("h", options: options) { event, context in
                    try await Handling.note(event, context)
                    return .done
                }
            let report = try await store.handleEverything(with: handler)
            #expect(report.processed == 4)
            let parked = try #require(report.parked.first)
            #expect(parked.stream == StreamID("order", "a") && parked.version == 2 && parked.waiting == 1)
            #expect(parked.attempts == 2)
            for word in ["upcast order.broken from 1 to 2", "position 2", "Broken"] {
                #expect(parked.error.contains(word), "\(parked.error)")
            }
            #expect(try await handling.texts("SELECT error_kind FROM millrace.parked_events") == ["UpcastingError"])

            // A release whose step works goes on with it.
            try await store.client.run("SELECT millrace.retry_parked('h')")
            let mended = EventStore(store.client, upcasters: OldShop.upcasters)
            #expect(try await mended.handleEverything(with: handler).parked.isEmpty)
            expectStreamOrder(try await handling.effects(of: "h"), streams: 2, events: 3)
        }
    }

    @Test func aBatchOfDroppedEventsIsPassedWithoutACall() async throws {
        try await withStore(upcasters: OldShop.upcasters) { store in
            try await store.append(
                [OldShop.event("order.viewed"), OldShop.event("order.viewed")],
                to: StreamID("order", "1")
            )
            let calls = Mutex(0)
            let handler = Handler.batches("h") { _, _ in
                calls.withLock { $0 += 1 }
                return .done
            }
            #expect(try await store.handleEverything(with: handler).processed == 2)
            #expect(calls.withLock { $0 } == 0)
        }
    }

    @Test func aReplayIsGivenWhatEventsMeanNow() async throws {
        try await withHandling { handling in
            try await handling.publish(streams: 2, events: 2, type: "order.created")
            _ = try await handling.store.handleEverything(with: noting("h", "order.created"))
            let store = EventStore(handling.store.client, upcasters: renaming)
            let replayed = Mutex<[String]>([])
            let handler = Handler("h", matching: .eventTypes("order.placed"), options: HandlerOptions(lanes: 4)) {
                event,
                context in
                if context.isReplay { replayed.withLock { $0.append(event.type) } }
                return .done
            }
            try await store.working([handler]) {
                try await store.client.run("SELECT millrace.request_replay('h', 1, 4)")
                try await eventually("the replay is done") { replayed.withLock { $0.count } >= 4 }
            }
            #expect(replayed.withLock { $0 } == Array(repeating: "order.placed", count: 4))
        }
    }
}

private let silent = {
    var logger = Logger(label: "millrace.tests")
    logger.logLevel = .critical
    return logger
}()
