import Millrace
import MillracePostgres
import Synchronization
import Testing

/// A range that is handled once more, beside what is new.
@Suite(.timeLimit(.minutes(15)))
struct ReplayTests {
    private struct Refused: Error {}

    private func isFinished(_ handling: Handling, _ state: String = "finished") async throws {
        try await eventually("the replay is \(state)") {
            try await handling.texts("SELECT state FROM millrace.list_replays() LIMIT 1") == [state]
        }
    }

    @Test func handlesTheRangeOnceMoreInOrderAndMovesNothingElse() async throws {
        try await withStore { store in
            let handling = try await Handling(store)
            try await store.client.script(
                "CREATE TABLE again (number bigint GENERATED ALWAYS AS IDENTITY, position bigint, stream text, version int)"
            )
            let keys = Mutex<Set<String>>([])
            let handler = Handler("h", options: HandlerOptions(lanes: 3, batchSize: 7)) { event, context in
                let isNew = keys.withLock { $0.insert(context.idempotencyKey).inserted }
                #expect(isNew)
                guard context.isReplay else {
                    try await Handling.note(event, context)
                    return .done
                }
                try await context.transaction.query(
                    "INSERT INTO again (position, stream, version) VALUES ($1, $2, $3)",
                    [.int8(event.position.rawValue), .text("\(event.stream)"), .int4(Int32(event.version))]
                )
                return .done
            }
            try await handling.publish(streams: 10, events: 20)
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                let before = try await handling.texts(
                    "SELECT format('%s', array_agg(checkpoint ORDER BY lane)) FROM millrace.handler_lanes"
                )
                try await store.client.query("SELECT * FROM millrace.request_replay('h', 51, 150)")
                try await isFinished(handling)
                #expect(
                    try await handling.texts(
                        "SELECT format('%s', array_agg(checkpoint ORDER BY lane)) FROM millrace.handler_lanes"
                    ) == before
                )
                try await handling.publish(streams: 10, events: 1)
                try await handling.isDone("h")
            }
            #expect(
                try await handling.texts("SELECT format('%s %s %s', count(*), min(position), max(position)) FROM again")
                    == ["100 51 150"]
            )
            #expect(
                try await handling.texts(
                    """
                    SELECT count(*)::text FROM (
                        SELECT version, lag(version) OVER (PARTITION BY stream ORDER BY number) AS earlier FROM again
                    ) AS a WHERE version <> earlier + 1
                    """
                ) == ["0"]
            )
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s', processed_events, pending_events) FROM millrace.event_processing_stats"
                ) == ["210 0"]
            )
            #expect(
                try await handling.texts("SELECT format('%s %s', processed, failed) FROM millrace.list_replays()") == [
                    "100 0"
                ]
            )
        }
    }

    @Test func whatFailsInItIsCountedAndNothingWaits() async throws {
        try await withStore { store in
            let handling = try await Handling(store)
            let handler = Handler("h", options: HandlerOptions(lanes: 2, batchSize: 5)) { event, context in
                if !context.isReplay { try await Handling.note(event, context) }
                if context.isReplay, event.stream.aggregateID == "1" { throw Refused() }
                return .done
            }
            try await handling.publish(streams: 4, events: 5)
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                try await store.client.query("SELECT * FROM millrace.request_replay('h', 0)")
                try await isFinished(handling)
            }
            #expect(
                try await handling.texts("SELECT format('%s %s', processed, failed) FROM millrace.list_replays()") == [
                    "15 5"
                ]
            )
            #expect(try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"])
            #expect(
                try await handling.texts(
                    "SELECT format('%s %s', status, count(*)) FROM millrace.event_audit GROUP BY status"
                ) == ["failed 5"]
            )
        }
    }

    @Test func oneThatIsCancelledEnds() async throws {
        try await withStore { store in
            let handling = try await Handling(store)
            let isHeld = Mutex(true)
            let handler = Handler("h", options: HandlerOptions(lanes: 1, batchSize: 2)) { event, context in
                if !context.isReplay { try await Handling.note(event, context) }
                while context.isReplay, event.version == 5, isHeld.withLock({ $0 }) { await Task.yield() }
                return .done
            }
            try await handling.publish(streams: 1, events: 10)
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                try await store.client.query("SELECT * FROM millrace.request_replay('h', 0)")
                try await eventually("it has come to the fifth") {
                    try await handling.texts("SELECT checkpoint::text FROM millrace.handler_replay_lanes") == ["4"]
                }
                try await store.client.query("SELECT millrace.cancel_replay(replay_id) FROM millrace.list_replays()")
                isHeld.withLock { $0 = false }
                // The lane is free for what is new, and the replay stays where it was.
                try await handling.publish(streams: 1, events: 1)
                try await handling.isDone("h")
            }
            #expect(
                try await handling.texts("SELECT format('%s %s', state, checkpoint) FROM millrace.list_replays()") == [
                    "cancelled 4"
                ]
            )
        }
    }
}
