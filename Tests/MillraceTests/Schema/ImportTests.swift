import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("imports")
    struct ImportTests {
        @Test("how far an import has come is remembered with what it stored")
        func resumes() async throws {
            try await withTestDatabase { client in
                #expect(try await client.texts("SELECT lines::text FROM millrace.read_import('orders')").isEmpty)
                try await client.run("SELECT millrace.record_import('orders', 0, 1000, '\\x01', 990)")
                try await client.run("SELECT millrace.record_import('orders', 1000, 1500, '\\x02', 500, true)")
                let state = try await client.text(
                    "SELECT format('%s %s %s %s', lines, prefix_hash, events_stored, finished_at IS NOT NULL) FROM millrace.read_import('orders')"
                )
                #expect(state == #"1500 \x02 1490 t"#)
            }
        }

        @Test("a second process that goes on from the same line is refused, and takes its lines back")
        func twoProcesses() async throws {
            try await withTestDatabase { client in
                try await client.run("SELECT millrace.record_import('orders', 0, 10, '\\x01', 10)")
                try await expectRefusal("MR012", "orders", "line 0") {
                    try await client.withTransaction { transaction in
                        try await transaction.run("SELECT millrace.publish_event('a', '1', 'o', '{}')")
                        try await transaction.run("SELECT millrace.record_import('orders', 0, 10, '\\x01', 10)")
                    }
                }
                try await expectRefusal("MR012", "absent", "line 5") {
                    try await client.run("SELECT millrace.record_import('absent', 5, 10, '\\x01', 10)")
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "0")
                #expect(try await client.texts("SELECT name FROM millrace.imports") == ["orders"])
            }
        }

        @Test("an importer cannot say that lines were dealt with which were not")
        func onlyWithItsLines() async throws {
            try await withTestDatabase { client in
                try await client.withConnection { connection in
                    try await connection.run("SET ROLE millrace_importer")
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("SELECT millrace.record_import('orders', 0, 10, '\\x01', 10)")
                    }
                    let line = #"{"event_type": "a", "aggregate_type": "o", "aggregate_id": "1", "event_data": {}}"#
                    let stored = try await connection.text(
                        "SELECT stored::text FROM millrace.import_lines('orders', 0, 1, '\\x01', ARRAY['\(line)']::jsonb[])"
                    )
                    #expect(stored == "1")
                    try await connection.run("RESET ROLE")
                }
            }
        }

        @Test(
            "a line with a value that its type cannot hold is an invalid event",
            arguments: [
                #""occurred_at": "garbage""#, #""occurred_at": "2026-13-45T00:00:00Z""#, #""payload": "!!!""#,
                #""event_id": "garbage""#,
            ]
        )
        func garbage(field: String) async throws {
            try await withTestDatabase { client in
                let line =
                    #"{"event_type": "a", "aggregate_type": "o", "aggregate_id": "1", "event_data": {}, \#(field)}"#
                let chunk = ImportChunk(
                    name: "orders",
                    resumesAfter: 0,
                    through: 1,
                    prefixHash: [1],
                    lines: [Array(line.utf8)],
                    isLast: true
                )
                let store = EventStore(client)
                let error = await #expect(throws: EventStoreError.self) { try await store.importLines(chunk) }
                guard case .invalidEvent = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                let refused = try await store.refusals(of: chunk.lines)
                #expect(refused.map(\.index) == [0])
                #expect(try await client.text("SELECT count(*)::text FROM millrace.imports") == "0")
            }
        }

        @Test("nonsense is refused by name")
        func badInput() async throws {
            try await withTestDatabase { client in
                try await expectRefusal("MR001", "import's name is empty") {
                    try await client.run("SELECT millrace.record_import('', 0, 1, '\\x01', 1)")
                }
                for arguments in [
                    "'a', 5, 4, '\\x01', 1", "'a', -1, 4, '\\x01', 1", "'a', 0, 4, NULL, 1", "'a', 0, 4, '\\x01', -1",
                ] {
                    try await expectRefusal("MR011", "import a cannot go") {
                        try await client.run("SELECT millrace.record_import(\(arguments))")
                    }
                }
            }
        }
    }
}
