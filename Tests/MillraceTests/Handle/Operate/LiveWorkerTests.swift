import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Synchronization
import Testing

extension OperatingTests {
    @Suite("what an operator decides, and a worker that is at it")
    struct LiveWorkerTests {
        private struct Wrong: Error {}

        /// Fails for the first event of each stream while that has no currency.
        private func handler() -> Handler {
            Handler("billing", options: HandlerOptions(lanes: 4, retry: .never)) { event, context in
                if event.version == 1, !event.data.text.contains("EUR") { throw Wrong() }
                try await Handling.note(event, context)
                return .done
            }
        }

        private func publish(_ streams: Int, _ store: EventStore) async throws {
            try await store.client.query(
                """
                SELECT millrace.publish_event('t', s::text, 'order', jsonb_build_object('n', n))
                FROM generate_series(1, 3) AS n, generate_series(1, $1) AS s
                """,
                [.int4(Int32(streams))]
            )
        }

        @Test(
            "edited events are handled with the other data, discarded ones are not, and what waited follows each in order"
        )
        func decided() async throws {
            try await withTestStore { store in
                let handling = try await Handling(store)
                try await publish(6, store)
                try await handling.working([handler()]) { _ in
                    try await eventually("all streams wait, with all that follows") {
                        guard let status = try await store.handlers.list().first else { return false }
                        return status.parked == 6 && status.waiting == 12 && status.pending.events == 0
                    }
                    try await store.handlers.discardParked(
                        .init(handler: "billing", aggregateID: "1"),
                        reason: "a test order"
                    )
                    try await store.handlers.editParked(
                        .init(handler: "billing", aggregateID: "2"),
                        data: JSON(#"{"currency":"EUR"}"#),
                        merging: true,
                        retrying: true
                    )
                    try await eventually("both streams are through") {
                        guard let status = try await store.handlers.list().first else { return false }
                        return status.parked == 4 && status.processed == 5 && status.discarded == 1
                    }
                    // Still wrong: it fails again, and is parked again.
                    let third = ParkedFilter(handler: "billing", aggregateID: "3")
                    try await store.handlers.retryParked(third)
                    try await eventually("it was tried once more") {
                        let parked = try await store.handlers.parked(third)
                        let attempts = try await store.handlers.attempts(of: "billing", on: Position(3))
                        return attempts.count == 2 && parked.map(\.status) == [.parked]
                    }
                }
                let effects = try await handling.effects(of: "billing")
                #expect(effects.filter { $0.stream == "order/1" }.map(\.version) == [2, 3])
                #expect(effects.filter { $0.stream == "order/2" }.map(\.version) == [1, 2, 3])
                #expect(effects.count == 5)
                let attempts = try await store.handlers.attempts(of: "billing", on: Position(1))
                #expect(attempts.map(\.status) == [.discarded, .parked])
                #expect(attempts.first?.error == "a test order")
                #expect(
                    try await store.client.texts(
                        """
                        SELECT format('%s %s %s %s', total_events, processed_events, pending_events, failed_events)
                        FROM millrace.event_processing_stats
                        """
                    ) == ["18 5 8 5"]
                )
            }
        }

        @Test("what a worker has in hand while its event is discarded comes to nothing")
        func inHand() async throws {
            try await withTestStore { store in
                let handling = try await Handling(store)
                try await publish(1, store)
                let (isReached, mayGoOn) = (Rendezvous(parties: 2), Rendezvous(parties: 2))
                let isMended = Mutex(false)
                let handler = Handler("billing", options: HandlerOptions(lanes: 1, retry: .never)) { event, context in
                    if event.version == 1 {
                        guard isMended.withLock({ $0 }) else { throw Wrong() }
                        await isReached.arrive()
                        await mayGoOn.arrive()
                    }
                    try await Handling.note(event, context)
                    return .done
                }
                try await handling.working([handler]) { _ in
                    try await eventually("the stream waits") {
                        guard let status = try await store.handlers.list().first else { return false }
                        return status.parked == 1 && status.waiting == 2
                    }
                    isMended.withLock { $0 = true }
                    try await store.handlers.retryParked(.init(handler: "billing"))
                    await isReached.arrive()
                    try await store.handlers.discardParked(.init(handler: "billing"), reason: "too late to be handled")
                    await mayGoOn.arrive()
                    try await eventually("the stream is through") {
                        guard let status = try await store.handlers.list().first else { return false }
                        return status.discarded == 1 && status.processed == 2
                    }
                }
                #expect(try await handling.effects(of: "billing").map(\.version) == [2, 3])
            }
        }
    }
}
