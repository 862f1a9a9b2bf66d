import Foundation
import Millrace
import MillracePostgres
import Testing

@testable import MillraceEmbedded

/// The states of real orders, now and in the past, are those that a script makes of the file, which knows nothing of Millrace.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct RealStatesTests {
    private static let orders = 8_135
    private static let dates = ["2017-06-01T00:00:00Z", "2018-01-01T00:00:00Z", "2018-06-15T00:00:00Z"]

    /// What `summary` in the script does: payments are counted, the last status and score are kept, a cancelled order is none.
    private static let summary = """
        CREATE FUNCTION public.summarise(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE plpgsql AS $$
        BEGIN
            IF event.event_type = 'order.canceled' THEN
                RETURN NULL;
            END IF;
            state := coalesce(state, '{"payments": 0}');
            RETURN CASE split_part(event.event_type, '.', 1)
                WHEN 'payment' THEN jsonb_set(state, '{payments}', to_jsonb((state ->> 'payments')::int + 1))
                WHEN 'order' THEN state || jsonb_build_object('status', split_part(event.event_type, '.', 2))
                WHEN 'review' THEN state || jsonb_build_object('score', event.event_data -> 'score')
                ELSE state
            END;
        END
        $$;
        SELECT millrace.register_reducer('order', 'public.summarise');
        """

    @Test(
        .enabled(if: RealData.isThere, "there is no folder ../shared/data beside the package"),
        .enabled(if: OrderScript.python != nil, "there is no python3 on this machine")
    )
    func areWhatTheFileSays() async throws {
        try await withStore { store in
            try await store.importEvents(from: RealData.lines(of: "olist-orders"))
            let streams = try await store.client.text("SELECT count(*)::text FROM millrace.streams")
            #expect(streams == "\(Self.orders)")
            for date in Self.dates + [nil] { try await Self.compare(store, with: "merge", asOf: date) }
            try await store.client.script(Self.summary)
            for date in Self.dates + [nil] { try await Self.compare(store, with: "summary", asOf: date) }
        }
    }

    /// Every order, also those that have no event by then, in SQL; and a few by the library, with their histories.
    private static func compare(_ store: EventStore, with fold: String, asOf date: String?) async throws {
        let expected = try await OrderScript.states(fold, until: date)
        let rows = try await store.client.query(
            """
            SELECT s.aggregate_id, e.state,
                   millrace.rebuild_aggregate('order', s.aggregate_id, p_at => $3) IS NOT DISTINCT FROM e.state
            FROM millrace.streams AS s
            LEFT JOIN (
                SELECT n.id, nullif(n.state, 'null') AS state FROM unnest($1::text[], $2::jsonb[]) AS n (id, state)
            ) AS e ON e.id = s.aggregate_id
            WHERE s.aggregate_type = 'order'
            """,
            [
                .textArray(expected.map(\.id)), .jsonbArray(expected.map(\.state)),
                .timestamptz(date.flatMap { Date(rfc3339: $0) }),
            ],
            timeout: .seconds(300)
        )
        var equal = 0
        var present = 0
        for row in rows {
            if !row.isNull(at: 1) { present += 1 }
            if try row.decode(Bool.self, at: 2) {
                equal += 1
            } else {
                Issue.record("\(try row.decode(String.self, at: 0)) is otherwise as of \(date ?? "now") (\(fold))")
            }
        }
        print("RealStates: \(fold) as of \(date ?? "now"): \(equal) orders equal, \(present) of them with a state")
        #expect(equal == orders)
        #expect(present > 0)
        try await compareHistories(store, expected.prefix(50).map(\.id), asOf: date)
    }

    /// The last state of a history is the rebuilt one, and each begins where the one before has ended.
    private static func compareHistories(_ store: EventStore, _ ids: [String], asOf date: String?) async throws {
        let point = date.flatMap { Date(rfc3339: $0) }.map { PointInTime.time($0) } ?? .now
        for id in ids {
            let stream = StreamID("order", id)
            var last: JSON?
            for try await entry in store.history(of: stream, asOf: point) {
                #expect(entry.before == last)
                last = entry.after
            }
            let rebuilt = try await store.rebuild(stream, asOf: point)
            #expect(rebuilt == last)
        }
    }
}

/// The script beside this file.
private enum OrderScript {
    struct Line {
        let id: String
        /// JSON null where there is no state.
        let state: [UInt8]
    }

    static let python = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/python3" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    static func states(_ fold: String, until date: String?) async throws -> [Line] {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "fold_orders.py").path
        let written = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID()).ndjson")
        defer { try? FileManager.default.removeItem(at: written) }
        let outcome = try await Program(path: "/bin/sh").run(
            ["-c", #"out="$1"; shift; exec "$0" "$@" > "$out""#, try #require(python), written.path, script, fold]
                + [RealData.path(of: "olist-orders")] + (date.map { [$0] } ?? []),
            environment: Program.environment(from: ProcessInfo.processInfo.environment)
        )
        guard outcome.succeeded else { throw UnexpectedOutcome(what: outcome.errors) }
        return try Data(contentsOf: written).split(separator: UInt8(ascii: "\n")).map { line in
            // {"id": "…", "state": …}, the id of 32 hexadecimal digits.
            let name = Data(#"", "state": "#.utf8)
            guard let place = line.firstRange(of: name) else {
                throw UnexpectedOutcome(what: String(decoding: line, as: UTF8.self))
            }
            let id = line[line.startIndex..<place.lowerBound].dropFirst(#"{"id": ""#.utf8.count)
            return Line(id: String(decoding: id, as: UTF8.self), state: Array(line[place.upperBound...].dropLast()))
        }
    }
}

extension EventStore {
    /// As many at a time as a batch may have.
    fileprivate func importEvents(from lines: [RealData.Line]) async throws {
        let lotSize = 2_000
        for start in stride(from: 0, to: lines.count, by: lotSize) {
            var request = AppendRequest()
            for line in lines[start..<min(start + lotSize, lines.count)] {
                let event = NewEvent(type: line.type, data: JSON(utf8: line.data), occurredAt: line.occurredAt)
                request.append([event], to: line.stream)
            }
            try await append(request)
        }
    }
}
