import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("the history of an aggregate")
struct HistoryTests {
    private static let stream = StreamID("order", "42")

    private static func fill(_ store: EventStore) async throws {
        let days = (1...3).map { Date(rfc3339: "2017-01-0\($0)T00:00:00Z") }
        try await store.append(
            [
                NewEvent(
                    type: "created",
                    data: JSON(#"{"customer": "c-7", "status": "created", "coupon": 1}"#),
                    occurredAt: days[0]
                ),
                NewEvent(
                    type: "paid",
                    data: JSON(#"{"status": "paid", "address": {"lines": ["a"]}}"#),
                    occurredAt: days[1]
                ),
                NewEvent(type: "moved", data: JSON(#"{"address": {"lines": ["a", "b"]}}"#), occurredAt: days[2]),
            ],
            to: stream
        )
    }

    private static func entries(_ history: AggregateHistory) async throws -> [HistoryEntry] {
        var entries: [HistoryEntry] = []
        for try await entry in history { entries.append(entry) }
        return entries
    }

    @Test("each event comes with the state before and after it, and where they differ")
    func entries() async throws {
        try await withStore { store in
            try await Self.fill(store)
            let entries = try await Self.entries(store.history(of: Self.stream))
            #expect(entries.map(\.event.type) == ["created", "paid", "moved"])
            #expect(entries.map { $0.before?.text } == [nil] + entries.dropLast().map { $0.after?.text })
            let state = try await store.rebuild(Self.stream)
            #expect(entries.last?.after == state)
            let differences = entries.map { entry in
                entry.differences.map { "\($0.path) \($0.before?.text ?? "-") \($0.after?.text ?? "-")" }
            }
            #expect(
                differences == [
                    ["coupon - 1", #"customer - "c-7""#, #"status - "created""#],
                    [#"address - {"lines": ["a"]}"#, #"status "created" "paid""#],
                    [#"address.lines[1] - "b""#],
                ]
            )
        }
    }

    @Test("a history begins and ends where it is told to, and is empty where there is nothing")
    func bounds() async throws {
        try await withStore { store in
            try await Self.fill(store)
            func versions(_ first: Int, _ point: PointInTime) async throws -> [Int] {
                try await Self.entries(store.history(of: Self.stream, from: first, asOf: point)).map(\.event.version)
            }
            #expect(try await versions(2, .now) == [2, 3])
            #expect(try await versions(0, .version(2)) == [1, 2])
            let second = try #require(Date(rfc3339: "2017-01-02T00:00:00Z"))
            #expect(try await versions(1, .time(second)) == [1, 2])
            #expect(try await versions(4, .now).isEmpty)
            let from = try await Self.entries(store.history(of: Self.stream, from: 3)).first
            let earlier = try await store.rebuild(Self.stream, asOf: .version(2))
            #expect(from?.before == earlier)
            #expect(try await Self.entries(store.history(of: StreamID("order", "absent"))).isEmpty)
        }
    }

    @Test("pages fit together, also where the state is gone at the end of one, in a transaction of the caller's")
    func pages() async throws {
        try await withStore { store in
            try await store.client.script(
                """
                CREATE FUNCTION public.every(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE sql AS $$
                    SELECT CASE WHEN event.version % \(AggregateHistory.pageSize) <> 0
                        THEN jsonb_build_object('n', coalesce((state ->> 'n')::int, 0) + 1) END
                $$;
                SELECT millrace.register_reducer('order', 'every', '{"n": 1000}');
                """
            )
            let count = 2 * AggregateHistory.pageSize + 1
            let events = (0..<count).map { _ in NewEvent(type: "a", data: .emptyObject) }
            try await store.client.withTransaction { transaction in
                try await store.append(events, to: Self.stream, in: transaction)
                let entries = try await Self.entries(store.history(of: Self.stream, in: transaction))
                #expect(entries.map(\.event.version) == Array(1...count))
                #expect(entries[AggregateHistory.pageSize].after?.text == #"{"n": 1}"#)
                #expect(entries[0].before?.text == #"{"n": 1000}"#)
                #expect(entries.indices.dropFirst().allSatisfy { entries[$0].before == entries[$0 - 1].after })
            }
        }
    }

    @Test("a reducer that fails says where")
    func failing() async throws {
        try await withStore { store in
            try await store.client.script(
                """
                CREATE FUNCTION public.fail(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE sql AS $$
                    SELECT to_jsonb(1 / (2 - event.version))
                $$;
                SELECT millrace.register_reducer('order', 'fail');
                """
            )
            try await Self.fill(store)
            let error = await #expect(throws: EventStoreError.self) {
                try await Self.entries(store.history(of: Self.stream))
            }
            guard case .postgres(.server(let refusal)) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(refusal.sqlState == "MR024")
            #expect(refusal.message.contains("version 2 of order/42 (position 2, paid): division by zero"))
        }
    }
}
