import Foundation
import MillracePostgres
import Testing

@testable import Millrace

@Suite("The ledger's entries of rows")
struct LedgerRowTests {
    private static let columns = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at,
               created_at, payload, content_type, previous_hash, current_hash
        FROM chained ORDER BY id
        """

    /// The query of docs/ledger-format.md.
    private static func query() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/ledger-format.md"), encoding: .utf8)
        let sql = try #require(text.firstMatch(of: /```sql\n(?<sql>(?s:.+?))```/)).sql
        return String(sql.replacing("FROM millrace.events", with: "FROM chained"))
    }

    /// Events of all kinds, in a copy of the log that may be changed.
    private static func fill(_ store: EventStore) async throws {
        var request = AppendRequest()
        for number in 1...40 {
            let stream = StreamID("account", "a-\(number % 3)é")
            var event = NewEvent(
                type: "account.changed",
                data: JSON(
                    #"{"number": \#(number), "half": 1.50, "text": "\u00fc\n\"\\", "none": null, "list": [1e3, -0.0]}"#
                ),
                metadata: number % 2 == 0 ? JSON(#"{"actor": "somebody"}"#) : nil,
                occurredAt: number % 5 == 0 ? Date(timeIntervalSinceReferenceDate: -3e9 - 0.25) : nil
            )
            if number % 4 == 0 {
                event = NewEvent(type: "scanned", payload: OpaquePayload(bytes: [0, 255, 10], contentType: "image/x"))
            }
            request.append([event], to: stream)
        }
        try await store.append(request)
        try await store.client.run("CREATE TABLE chained AS SELECT * FROM millrace.events")
    }

    @Test("have the fields of the rows")
    func fields() async throws {
        try await withStore { store in
            try await Self.fill(store)
            let rows = try await store.client.query(PostgresStatement(Self.columns))
            #expect(rows.count == 40)
            var buffer = LedgerEntryBuffer()
            for row in rows {
                try buffer.encode(row)
                let entry = try LedgerEntry(bytes: buffer.entry)
                let event = try RecordedEvent(row, firstColumn: 0)
                #expect(buffer.position == event.position.rawValue && buffer.leafHash == entry.leafHash)
                #expect(entry.position == event.position && entry.id == event.id && entry.type == event.type)
                #expect(entry.stream == event.stream && entry.version == event.version)
                #expect(entry.data == event.data && entry.metadata == event.metadata)
                #expect(entry.occurredAt == event.occurredAt && entry.createdAt == event.createdAt)
                #expect(entry.payload == event.payload?.bytes && entry.contentType == event.payload?.contentType)
                #expect(entry.currentHash == nil && entry.previousHash == nil)
            }
        }
    }

    @Test(
        "are linked as the checker in Python has them, whatever the session's settings",
        .enabled(if: PythonChecker.python != nil, PythonChecker.missing)
    )
    func chains() async throws {
        try await withStore { store in
            try await Self.fill(store)
            let lines = try await store.client.texts(Self.query()).compactMap { $0 }
            #expect(
                try await PythonChecker.checkChain(lines.joined(separator: "\n"))
                    == .right("40 events of 3 streams, 0 of them linked")
            )
            try await Self.link(store)
            let linked = try await store.client.withConnection { connection in
                for setting in [
                    "TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German'", "IntervalStyle = 'iso_8601'",
                    "extra_float_digits = -15", "bytea_output = 'escape'", "xmloption = 'document'",
                ] {
                    try await connection.run("SET \(setting)")
                }
                let lines = try await connection.texts(Self.query()).compactMap { $0 }
                try await connection.run("RESET ALL")
                return lines
            }
            #expect(
                try await PythonChecker.checkChain(linked.joined(separator: "\n"))
                    == .right("40 events of 3 streams, 40 of them linked")
            )
            let missing = linked.filter { !$0.contains(#""version" : 5,"#) }
            guard case .wrong = try await PythonChecker.checkChain(missing.joined(separator: "\n")) else {
                Issue.record("an event of each stream is missing")
                return
            }
        }
    }

    /// Gives each event the hashes that it has to have.
    private static func link(_ store: EventStore) async throws {
        let rows = try await store.client.query(PostgresStatement(columns))
        var heads: [String: LedgerHash] = [:]
        var buffer = LedgerEntryBuffer()
        for row in rows {
            try buffer.encode(row)
            let stream = try LedgerEntry(bytes: buffer.entry).stream.description
            let previous = heads[stream] ?? .zero
            let current = buffer.chainHash(after: previous)
            heads[stream] = current
            try await store.client.query(
                "UPDATE chained SET previous_hash = $2, current_hash = $3 WHERE id = $1",
                [.int8(buffer.position), .bytea(previous.bytes), .bytea(current.bytes)]
            )
        }
    }
}
