import Millrace
import MillracePostgres
import Synchronization
import Testing

/// One event in a hundred of real orders fails for ever: everything else is handled, what follows the failed ones in their streams waits, and
/// after they are mended and retried every stream is complete and in order.
@Suite(.timeLimit(.minutes(15)))
struct PoisonStopsItsStreamOnlyTests {
    private static let lot = 2_000

    /// Every hundredth position. Which events those are depends on nothing that the handler does.
    private static func isPoisoned(_ position: Int64) -> Bool { position.isMultiple(of: 100) }

    private struct Poisoned: Error {}

    @Test(.enabled(if: RealData.isThere, "there is no folder ../shared/data beside the package"))
    func onRealOrders() async throws {
        try await withStore { store in
            let lines = try await RealData.lines(of: "olist-orders")
            for start in stride(from: 0, to: lines.count, by: Self.lot) {
                var request = AppendRequest()
                for line in lines[start..<min(start + Self.lot, lines.count)] {
                    request.append(
                        [NewEvent(type: line.type, data: JSON(utf8: line.data), occurredAt: line.occurredAt)],
                        to: line.stream
                    )
                }
                try await store.append(request)
            }
            try await handle(Handling(store), events: lines.count)
        }
    }

    @Test func onMadeOnes() async throws {
        try await withStore { store in
            let handling = try await Handling(store)
            try await handling.publish(streams: 250, events: 8)
            try await handle(handling, events: 2_000)
        }
    }

    private func handle(_ handling: Handling, events: Int) async throws {
        let isMended = Mutex(false)
        let policy = HandlerRetryPolicy(attempts: 2, backoff: PostgresBackoff(initial: .milliseconds(10)))
        let handler = Handler("h", options: HandlerOptions(retry: policy, audit: .all, parkedLimit: 100_000)) {
            event,
            context in
            try await Handling.note(event, context)
            if Self.isPoisoned(event.position.rawValue), !isMended.withLock({ $0 }) { throw Poisoned() }
            return .done
        }
        try await handling.working([handler]) { _ in
            try await handling.isDone("h")
            try await expectOnlyStreamsOfPoisonToWait(handling, events: events)
            isMended.withLock { $0 = true }
            try await handling.store.client.script(
                "UPDATE millrace.parked_events SET status = 'retrying', attempts = 0, next_attempt_at = now(); NOTIFY handler_channel, 'h'"
            )
            try await eventually("nothing waits") {
                try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"]
            }
        }
        try await expectEverythingOnceInOrder(handling, events: events)
    }

    private func expectOnlyStreamsOfPoisonToWait(_ handling: Handling, events: Int) async throws {
        // What an independent statement says of the log: everything before the first poisoned event of its stream.
        let expected = try await handling.texts(
            """
            WITH first AS (
                SELECT aggregate_type, aggregate_id, min(version) AS version
                FROM millrace.events WHERE id % 100 = 0 GROUP BY aggregate_type, aggregate_id
            )
            SELECT format('%s parked, %s behind, %s handled', (SELECT count(*) FROM first),
                          count(*) FILTER (WHERE e.version > f.version), count(*) FILTER (WHERE f.version IS NULL OR e.version < f.version))
            FROM millrace.events AS e LEFT JOIN first AS f USING (aggregate_type, aggregate_id)
            """
        )
        let found = try await handling.texts(
            """
            SELECT format('%s parked, %s behind, %s handled', count(*), sum(p.waiting), (SELECT count(DISTINCT position) FROM effects))
            FROM millrace.parked_events AS p WHERE p.status = 'parked' AND p.attempts = 2 AND p.error_kind = 'Poisoned'
            """
        )
        #expect(found == expected)
        print("PoisonStopsItsStreamOnly: \(events) events, \(found[0])")
    }

    private func expectEverythingOnceInOrder(_ handling: Handling, events: Int) async throws {
        #expect(
            try await handling.texts("SELECT format('%s %s', count(*), count(DISTINCT position)) FROM effects") == [
                "\(events) \(events)"
            ]
        )
        #expect(
            try await handling.texts(
                """
                SELECT count(*)::text
                FROM (SELECT version, row_number() OVER (PARTITION BY stream ORDER BY number) AS expected FROM effects) AS e
                WHERE e.version <> e.expected
                """
            ) == ["0"]
        )
        #expect(
            try await handling.texts(
                "SELECT format('%s %s %s', sum(processed_events), sum(pending_events), sum(failed_events)) FROM millrace.event_processing_stats"
            ) == ["\(events) 0 0"]
        )
    }
}
