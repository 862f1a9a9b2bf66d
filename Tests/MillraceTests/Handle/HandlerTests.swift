import Foundation
import Millrace
import MillracePostgres
import Synchronization
import Testing

/// What a handler sees and what becomes of what it does. Kills and races are in Guarantees/HandlersLoseNothing.
@Suite(.timeLimit(.minutes(15)))
struct HandlerTests {
    private struct Refused: Error {}

    private func withHandling(_ body: (Handling) async throws -> Void) async throws {
        try await withStore { store in try await body(Handling(store)) }
    }

    @Test func handlesEveryEventOnceInTheOrderOfItsStream() async throws {
        try await withHandling { handling in
            try await handling.publish(streams: 20, events: 10)
            let handler = Handler("h", options: HandlerOptions(lanes: 4, batchSize: 7)) { event, context in
                try await Handling.note(event, context)
                return .done
            }
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                expectStreamOrder(try await handling.effects(of: "h"), streams: 20, events: 10)
                try await handling.publish(streams: 20, events: 2)
                try await handling.isDone("h")
            }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 20, events: 12)
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s %s %s', event_type, total_events, processed_events, failed_events) FROM millrace.event_processing_stats"
                ) == ["t 240 240 0"]
            )
            // Given back, and remembered.
            #expect(
                try await handling.texts(
                    "SELECT count(*)::text FROM millrace.handler_lanes WHERE worker_id IS NOT NULL"
                ) == ["0"]
            )
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(try await handling.effects(of: "h").count == 240)
        }
    }

    @Test func aFilterAndABeginningAreKept() async throws {
        try await withHandling { handling in
            try await handling.publish(streams: 3, events: 2, type: "a")
            let late = Handler("late", matching: .eventTypes("a"), options: HandlerOptions(beginning: .end)) {
                event,
                context in
                try await Handling.note(event, context)
                return .done
            }
            let all = Handler("all", matching: .eventTypes("b")) { event, context in
                try await Handling.note(event, context)
                return .done
            }
            try await handling.working([late, all]) { worker in
                try await eventually("both have begun") { worker.lanes.allSatisfy { $0.value.count == 16 } }
                try await handling.publish(streams: 3, events: 1, type: "a")
                try await handling.publish(streams: 2, events: 1, type: "b")
                try await handling.isDone("late")
                try await handling.isDone("all")
            }
            #expect(try await handling.effects(of: "late").map(\.version) == [3, 3, 3])
            #expect(try await handling.effects(of: "all").count == 2)
        }
    }

    @Test func otherFiltersAndLanesUnderTheSameNameAreRefused() async throws {
        try await withHandling { handling in
            let body: @Sendable (RecordedEvent, HandlerContext) async throws -> HandlerOutcome = { _, _ in .done }
            try await handling.working([Handler("h", matching: .eventTypes("a"), body)]) { worker in
                try await eventually("it has its lanes") { worker.lanes["h"]?.count == 16 }
            }
            for other in [
                Handler("h", matching: .eventTypes("b"), body),
                Handler("h", matching: .eventTypes("a"), options: HandlerOptions(lanes: 8), body),
            ] {
                await #expect(throws: EventStoreError.self) {
                    try await HandlerWorker(handling.store, handlers: [other]).run()
                }
            }
        }
    }

    @Test func aFailedEventIsRetriedAndItsStreamWaitsWhileOthersGoOn() async throws {
        try await withHandling { handling in
            let attempts = Mutex<[Int]>([])
            let handler = Handler(
                "h",
                options: HandlerOptions(
                    lanes: 2,
                    retry: HandlerRetryPolicy(attempts: 9, backoff: .init(initial: .milliseconds(20))),
                    audit: .all
                )
            ) { event, context in
                try await Handling.note(event, context)
                if event.stream.aggregateID == "1", event.version == 2 {
                    attempts.withLock { $0.append(context.attempt) }
                    if context.attempt < 4 { throw Refused() }
                }
                return .done
            }
            try await handling.publish(streams: 6, events: 4)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 6, events: 4)
            #expect(Set(attempts.withLock { $0 }) == [1, 2, 3, 4])
            #expect(try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"])
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s', status, attempt) FROM millrace.event_audit WHERE error IS NOT NULL ORDER BY attempt"
                ) == ["retrying 1", "retrying 2", "retrying 3"]
            )
            #expect(
                try await handling.texts("SELECT count(*)::text FROM millrace.event_audit WHERE status = 'success'")
                    == ["24"]
            )
        }
    }

    @Test func aHopelessEventIsParkedAndReleasedInOrder() async throws {
        try await withHandling { handling in
            let isMended = Mutex(false)
            let handler = Handler("h", options: HandlerOptions(lanes: 3, batchSize: 5, retry: .never)) {
                event,
                context in
                try await Handling.note(event, context)
                if event.stream.aggregateID == "2", event.version == 3, !isMended.withLock({ $0 }) { throw Refused() }
                return .done
            }
            try await handling.publish(streams: 5, events: 20)
            try await handling.working([handler]) { worker in
                try await handling.isDone("h")
                #expect(
                    try await handling.texts(
                        "SELECT format('%s %s %s %s %s %s', aggregate_id, version, status, attempts, waiting, error_kind) FROM millrace.parked_events"
                    ) == ["2 3 parked 1 17 Refused"]
                )
                #expect(try await handling.effects(of: "h").count == 82)
                #expect(
                    try await handling.texts(
                        "SELECT format('%s %s', pending_events, failed_events) FROM millrace.event_processing_stats"
                    )
                        == ["17 1"]
                )
                // What comes meanwhile waits too.
                try await handling.publish(streams: 5, events: 1)
                try await eventually("the new one waits") {
                    try await handling.texts("SELECT waiting::text FROM millrace.parked_events") == ["18"]
                }
                isMended.withLock { $0 = true }
                try await handling.store.client.script(
                    "UPDATE millrace.parked_events SET status = 'retrying', next_attempt_at = now(); NOTIFY handler_channel, 'h'"
                )
                try await handling.isDone("h")
                try await eventually("nothing waits") {
                    try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"]
                }
            }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 5, events: 21)
        }
    }

    @Test func aDiscardedEventIsPassedOver() async throws {
        try await withHandling { handling in
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                if event.version == 2 { return .park(because: "of its version") }
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 2, events: 4)
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                try await handling.store.client.script(
                    "UPDATE millrace.parked_events SET status = 'discarding', next_attempt_at = now(); NOTIFY handler_channel, 'h'"
                )
                try await handling.isDone("h")
                try await eventually("nothing waits") {
                    try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"]
                }
            }
            #expect(try await handling.effects(of: "h").map(\.version).sorted() == [1, 1, 3, 3, 4, 4])
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s %s', processed_events, pending_events, failed_events) FROM millrace.event_processing_stats"
                ) == ["6 0 2"]
            )
        }
    }

    @Test func stopStopsTheHandlerBeforeTheEventUntilItIsResumed() async throws {
        try await withHandling { handling in
            let isMended = Mutex(false)
            let handler = Handler("h", options: HandlerOptions(lanes: 1)) { event, context in
                if event.version == 3, !isMended.withLock({ $0 }) { return .stop(because: "the bank is closed") }
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 1, events: 5)
            try await handling.working([handler]) { worker in
                try await eventually("it has stopped") {
                    try await handling.texts("SELECT format('%s %s', state, state_reason) FROM millrace.event_handlers")
                        == ["stopped the bank is closed"]
                }
                try await eventually("it has no lane") { worker.lanes["h"] == [] }
                #expect(try await handling.effects(of: "h").map(\.version) == [1, 2])
                isMended.withLock { $0 = true }
                try await handling.store.client.query("SELECT millrace.resume_handler('h')")
                try await handling.isDone("h")
            }
            #expect(try await handling.effects(of: "h").map(\.version) == [1, 2, 3, 4, 5])
        }
    }

    @Test func tooManyParkedStreamsStopTheHandlerAndNothingIsLost() async throws {
        try await withHandling { handling in
            let isMended = Mutex(false)
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never, parkedLimit: 2)) {
                event,
                context in
                if !isMended.withLock({ $0 }) { throw Refused() }
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 5, events: 2)
            try await handling.working([handler]) { _ in
                try await eventually("it has stopped") {
                    try await handling.texts("SELECT state FROM millrace.event_handlers") == ["stopped"]
                }
                #expect(
                    try await handling.texts("SELECT (count(*) <= 2)::text FROM millrace.parked_events") == ["true"]
                )
                isMended.withLock { $0 = true }
                try await handling.store.client.script(
                    "UPDATE millrace.parked_events SET status = 'retrying', next_attempt_at = now(); SELECT millrace.resume_handler('h')"
                )
                try await handling.isDone("h")
                try await eventually("nothing waits") {
                    try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"]
                }
            }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 5, events: 2)
        }
    }

    @Test func aHandlerThatDoesNotReturnIsLeftAloneAndItsEventParked() async throws {
        try await withHandling { handling in
            let stuck = Rendezvous(parties: 2)
            let handler = Handler(
                "h",
                options: HandlerOptions(lanes: 1, retry: .never, timeout: .milliseconds(300))
            ) { event, context in
                if event.stream.aggregateID == "1" {
                    // Deaf to cancellation.
                    await stuck.arrive()
                }
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 3, events: 2)
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                #expect(
                    try await handling.texts(
                        "SELECT format('%s %s %s', aggregate_id, status, error_kind) FROM millrace.parked_events"
                    )
                        == ["1 parked timeout"]
                )
                await stuck.arrive()
            }
            let effects = try await handling.effects(of: "h")
            #expect(Set(effects.map(\.stream)) == ["s/0", "s/2"])
            #expect(effects.count == 4)
        }
    }

    @Test func aBatchIsOneCallAndItsPoisonIsFoundAlone() async throws {
        try await withHandling { handling in
            let sizes = Mutex<[Int]>([])
            let handler = Handler.batches("h", options: HandlerOptions(lanes: 1, batchSize: 50, retry: .never)) {
                events,
                context in
                sizes.withLock { $0.append(events.count) }
                for event in events { try await Handling.note(event, context) }
                if events.contains(where: { $0.stream.aggregateID == "7" && $0.version == 2 }) { throw Refused() }
                return .done
            }
            try await handling.publish(streams: 10, events: 3)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(try await handling.effects(of: "h").count == 28)
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s %s', aggregate_id, version, waiting) FROM millrace.parked_events"
                ) == ["7 2 1"]
            )
            #expect(sizes.withLock { $0.max() ?? 0 } > 1)
        }
    }

    @Test func aHandlerThatSwallowsAFailedStatementTakesNobodyWithIt() async throws {
        try await withHandling { handling in
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                if event.stream.aggregateID == "1" {
                    _ = try? await context.transaction.query("SELECT 1 / 0")
                    return .done
                }
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 4, events: 2)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(Set(try await handling.effects(of: "h").map(\.stream)) == ["s/0", "s/2", "s/3"])
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s %s', aggregate_id, version, error_kind) FROM millrace.parked_events"
                )
                    == ["1 1 SQLSTATE 25P02"]
            )
        }
    }

    @Test func aConstraintThatIsCheckedAtTheCommitParksItsEventAlone() async throws {
        try await withHandling { handling in
            try await handling.store.client.script(
                "CREATE TABLE once (name text UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO once VALUES ('s/1')"
            )
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                if event.version == 1 {
                    try await context.transaction.query("INSERT INTO once VALUES ($1)", [.text("\(event.stream)")])
                }
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 4, events: 2)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(Set(try await handling.effects(of: "h").map(\.stream)) == ["s/0", "s/2", "s/3"])
            #expect(
                try await handling.texts("SELECT format('%s %s', aggregate_id, error_kind) FROM millrace.parked_events")
                    == ["1 SQLSTATE 23505"]
            )
        }
    }

    /// What shows only at the COMMIT is looked for event by event, and one of them says stop.
    @Test func stopIsHeededWhereEventsCannotBeCommittedTogether() async throws {
        try await withHandling { handling in
            try await handling.store.client.script(
                "CREATE TABLE once (name text UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO once VALUES ('s/0')"
            )
            let isMended = Mutex(false)
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                if event.stream.aggregateID == "1", !isMended.withLock({ $0 }) {
                    return .stop(because: "of its stream")
                }
                try await context.transaction.query("INSERT INTO once VALUES ($1)", [.text("\(event.stream)")])
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 3, events: 1)
            try await handling.working([handler]) { worker in
                try await eventually("it has stopped") {
                    try await handling.texts("SELECT state FROM millrace.event_handlers") == ["stopped"]
                }
                try await eventually("it has no lane") { worker.lanes["h"] == [] }
                #expect(try await handling.effects(of: "h").isEmpty)
                isMended.withLock { $0 = true }
                try await handling.store.client.query("SELECT millrace.resume_handler('h')")
                try await handling.isDone("h")
            }
            #expect(try await handling.effects(of: "h").map(\.stream) == ["s/1", "s/2"])
            #expect(try await handling.texts("SELECT aggregate_id FROM millrace.parked_events") == ["0"])
        }
    }

    /// An error of the handler's own hides that the transaction had failed before.
    @Test func aSwallowedFailureIsFoundBehindAnErrorOfAnotherName() async throws {
        try await withHandling { handling in
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                do { try await Handling.note(event, context) } catch is PostgresError { throw Refused() }
                if event.stream.aggregateID == "0" { _ = try? await context.transaction.query("SELECT 1 / 0") }
                return .done
            }
            try await handling.publish(streams: 3, events: 1)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(try await handling.effects(of: "h").map(\.stream) == ["s/1", "s/2"])
            #expect(
                try await handling.texts("SELECT format('%s %s', aggregate_id, error_kind) FROM millrace.parked_events")
                    == ["0 SQLSTATE 25P02"]
            )
        }
    }

    @Test func whatFollowsARetriedEventFailsByItself() async throws {
        try await withHandling { handling in
            try await handling.store.client.script(
                "CREATE TABLE once (name text UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO once VALUES ('taken')"
            )
            let policy = HandlerRetryPolicy(attempts: 2, backoff: .init(initial: .milliseconds(20)))
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: policy)) { event, context in
                try await Handling.note(event, context)
                if event.version == 1, context.attempt == 1 { throw Refused() }
                if event.version == 3 { try await context.transaction.query("INSERT INTO once VALUES ('taken')") }
                return .done
            }
            try await handling.publish(streams: 1, events: 4)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(try await handling.effects(of: "h").map(\.version) == [1, 2])
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s %s', version, error_kind, waiting) FROM millrace.parked_events"
                ) == ["3 SQLSTATE 23505 1"]
            )
        }
    }

    @Test func aBatchThatTakesTooLongComesOneByOne() async throws {
        try await withHandling { handling in
            let options = HandlerOptions(lanes: 1, retry: .never, timeout: .milliseconds(500))
            let handler = Handler.batches("h", options: options) { events, context in
                if events.count > 1 { try await context.transaction.query("SELECT pg_sleep(600)") }
                for event in events { try await Handling.note(event, context) }
                return .done
            }
            try await handling.publish(streams: 3, events: 2)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 3, events: 2)
        }
    }

    @Test func aTransactionThatIdlesForLongerThanAHandlerMayIsEnded() async throws {
        try await withHandling { handling in
            let limits = Mutex<[String?]>([])
            let handler = Handler("h", options: HandlerOptions(lanes: 1, timeout: .seconds(55))) { event, context in
                let limit = try await context.transaction.text("SHOW idle_in_transaction_session_timeout")
                limits.withLock { $0.append(limit) }
                return .done
            }
            try await handling.publish(streams: 1, events: 1)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            #expect(limits.withLock { $0 } == ["1min"])
        }
    }

    /// Its beats pass the lane's row by where they find it locked.
    @Test func settlingRenewsALease() async throws {
        try await withHandling { handling in
            let client = handling.store.client
            try await client.query(
                "SELECT millrace.register_handler('h', 'swift', NULL, NULL, NULL, 1, 0, 'none', 1, 0, 0, 1)"
            )
            let settle: PostgresStatement = """
                SELECT millrace.settle_lane('h', 0, 1, 0, NULL, 'w', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', NULL)
                """
            func beat(_ lanes: String, _ tokens: String, _ milliseconds: Int) async throws -> [String] {
                try await handling.texts(
                    """
                    SELECT concat_ws(' ', verdict, lane, token)
                    FROM millrace.lease_lanes('h', '00000000-0000-0000-0000-000000000001', 'w', \(milliseconds), '\(lanes)', '\(tokens)', '{NULL}')
                    """
                )
            }
            #expect(try await beat("{}", "{}", 1_000) == ["leased 0 1", "handler"])
            try await client.withTransaction { transaction in
                try await transaction.query(settle)
                #expect(try await beat("{0}", "{1}", 600_000) == ["held 0 1", "handler"])
            }
            try await client.query(settle)
            #expect(
                try await handling.texts(
                    "SELECT (l.leased_until = w.seen_until)::text FROM millrace.handler_lanes AS l JOIN millrace.handler_workers AS w USING (worker_id)"
                ) == ["true"]
            )
        }
    }

    @Test func aConflictThatShowsAtTheCommitIsNoFailure() async throws {
        try await withHandling { handling in
            try await handling.store.client.script(
                """
                CREATE SEQUENCE commits;
                CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('commits') <= 8 THEN
                        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'somebody else was first';
                    END IF;
                    RETURN NULL;
                END
                $$;
                CREATE CONSTRAINT TRIGGER conflict AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION conflict();
                """
            )
            let handler = Handler("h", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                try await Handling.note(event, context)
                return .done
            }
            try await handling.publish(streams: 2, events: 2)
            try await handling.working([handler]) { _ in try await handling.isDone("h") }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 2, events: 2)
        }
    }

    private struct Ordered: TypedEvent {
        static let eventType = "ordered"
        let cents: Int
    }

    private struct Billed: TypedEvent {
        static let eventType = "billed"
        let cents: Int
    }

    @Test func typedClosuresAreCalledAndWhatTheyPublishSaysWhy() async throws {
        try await withHandling { handling in
            let dispatch = EventDispatch(unknown: .skip).on(Ordered.self) { order, event, context in
                try await context.append(Billed(cents: order.cents), to: StreamID("bill", event.stream.aggregateID))
                return .done
            }
            let stored = try await handling.store.append(
                [
                    NewEvent(
                        Ordered(cents: 7),
                        metadata: EventMetadata(
                            correlationID: "c-1",
                            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                        )
                    ), NewEvent(type: "other", data: .emptyObject),
                ],
                to: StreamID("order", "1")
            )
            try await handling.working([Handler("billing", matching: dispatch.filter, dispatch.handle)]) { _ in
                try await handling.isDone("billing")
            }
            var bills: [RecordedEvent] = []
            for try await event in handling.store.readStream(StreamID("bill", "1")) { bills.append(event) }
            #expect(try bills.map { try $0.decode(Billed.self).cents } == [7])
            let metadata = try #require(try bills.first?.decodeMetadata())
            #expect(metadata.correlationID == "c-1")
            #expect(metadata.causationID == stored.events[0].id.uuidString.lowercased())
            #expect(metadata.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        }
    }

    @Test func anUnknownTypeIsParkedWhereThatIsThePolicy() async throws {
        try await withHandling { handling in
            let dispatch = EventDispatch(unknown: .park).on(Ordered.self) { _, _, _ in .done }
            try await handling.publish(streams: 1, events: 1, type: "unheard-of")
            try await handling.working([Handler("h", matching: dispatch.filter, dispatch.handle)]) { _ in
                try await handling.isDone("h")
            }
            #expect(
                try await handling.texts("SELECT error FROM millrace.parked_events") == [
                    "nothing is registered for “unheard-of”"
                ]
            )
        }
    }

    @Test func twoWorkersShareTheLanesAndOneThatStopsLeavesThemAtOnce() async throws {
        try await withHandling { handling in
            let body: @Sendable (RecordedEvent, HandlerContext) async throws -> HandlerOutcome = { event, context in
                try await Handling.note(event, context)
                return .done
            }
            // A lease that nobody waits for.
            let options = WorkerOptions(lease: .seconds(600), beat: .milliseconds(50))
            try await handling.working([Handler("h", body)], options: options) { first in
                try await eventually("the first has all lanes") { first.lanes["h"]?.count == 16 }
                try await handling.working([Handler("h", body)], options: options) { second in
                    try await eventually("they share") { first.lanes["h"]?.count == 8 && second.lanes["h"]?.count == 8 }
                    try await handling.publish(streams: 40, events: 5)
                    try await handling.isDone("h")
                }
                try await eventually("the first has all lanes again") { first.lanes["h"]?.count == 16 }
                try await handling.publish(streams: 40, events: 1)
                try await handling.isDone("h")
            }
            expectStreamOrder(try await handling.effects(of: "h"), streams: 40, events: 6)
        }
    }

    @Test func theInboxKnowsWhatCameBefore() async throws {
        try await withHandling { handling in
            let inbox = Inbox("payments")
            let first = try await handling.store.client.withTransaction { try await inbox.receives("k", in: $0) }
            let again = try await handling.store.client.withTransaction { try await inbox.receives("k", in: $0) }
            let elsewhere = try await handling.store.client.withTransaction {
                try await Inbox("other").receives("k", in: $0)
            }
            #expect((first, again, elsewhere) == (true, false, true))
        }
    }
}
