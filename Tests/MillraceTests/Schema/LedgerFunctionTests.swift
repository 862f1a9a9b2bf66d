import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("the ledger's functions")
    struct LedgerFunctionTests {
        /// Computed beside Millrace, by Python's struct and hashlib from docs/ledger-format.md.
        private static let golden = "49139b716b558ad96102451c122fc14ae2cf8488502d05c788f8bc7256c75735"
        private static let goldenBare = "06d6c1e40f56ae3db59b765cd1556a698fafbfe4d90e9927b874cdb2a5074dad"

        private static func canonical(_ event: String) -> String {
            "SELECT encode(sha256(millrace.canonical_form(\(event))), 'hex')"
        }

        private static let event = """
            7, '01890a5d-ac96-774b-bcce-b302099a8057', 'order.creäted', 'order', '42', 3,
            '{"b": 1.50, "a": ["ü", null, -0.0, 1e3]}'::jsonb::text, '{"traceparent": "x"}'::jsonb::text,
            '2026-01-31 23:59:59.999999+00', '1999-12-31 23:59:59+00', '\\x00ff', 'text/plain'
            """
        private static let bareEvent = """
            1, '01890a5d-ac96-774b-bcce-b302099a8057', 't', 'a', 'i', 1, 'null'::jsonb::text, NULL,
            '2000-01-01 00:00:00+00', '2000-01-01 00:00:00.000001+00', NULL, NULL
            """

        @Test("an event's bytes are those of the document, whatever the session's settings are")
        func goldenBytes() async throws {
            try await withTestDatabase { client in
                for settings in [
                    "", "SET timezone = 'Asia/Kathmandu'; SET datestyle = 'SQL, DMY'",
                    "SET extra_float_digits = -15; SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601'",
                    "SET client_encoding = 'LATIN1'; SET standard_conforming_strings = on; SET lc_numeric = 'C'",
                ] {
                    try await client.withConnection { connection in
                        for setting in settings.split(separator: ";") { try await connection.run(String(setting)) }
                        #expect(
                            try await connection.text(Self.canonical(Self.bareEvent)) == Self.goldenBare,
                            "\(settings)"
                        )
                        // What the test sends is UTF-8; with another client encoding it would be another event.
                        if !settings.contains("LATIN1") {
                            #expect(try await connection.text(Self.canonical(Self.event)) == Self.golden, "\(settings)")
                        }
                        try await connection.run("RESET ALL")
                    }
                }
            }
        }

        @Test("a session's client encoding changes nothing of what is hashed")
        func clientEncoding() async throws {
            try await withTestDatabase { client in
                try await client.beginLedger(chaining: "account")
                try await client.withConnection { connection in
                    try await connection.run("SET client_encoding = 'LATIN1'")
                    try await connection.run(
                        "SELECT millrace.publish_event('a', chr(252), 'account', jsonb_build_object('k', chr(228)))"
                    )
                    try await connection.run("RESET client_encoding")
                }
                #expect(try await ChainAudit(of: client).isClean)
            }
        }

        @Test("a ledger is begun once, with a key that is one, of its name")
        func begins() async throws {
            try await withTestDatabase { client in
                try await expectRefusal("MR028", "no ledger") {
                    try await client.run("SELECT millrace.declare_ledgered('{account}')")
                }
                let key = TestVerifierKey.text()
                let swapped = key.replacing("AQEB", with: "AQEC")
                for bad in ["", "key", swapped, key + "\n", key.replacing("shop", with: "shot")] {
                    try await expectRefusal("MR028", "verifier key") {
                        try await client.query(
                            "SELECT millrace.init_ledger($1, $2)",
                            [.text(TestVerifierKey.origin), .text(bad)]
                        )
                    }
                }
                try await client.beginLedger(chaining: "account")
                try await expectRefusal("MR028", "keeps a ledger already") { try await client.beginLedger() }
                #expect(
                    try await client.text("SELECT ledgered_types::text FROM millrace.ledger_status()")
                        == "{millrace.administration,account}"
                )
                #expect(
                    try await client.text("SELECT millrace.declare_ledgered('{account,order,order}')::text")
                        == "{order}"
                )
                try await expectRefusal("MR001", "aggregate_type") {
                    try await client.run("SELECT millrace.declare_ledgered(ARRAY['a', NULL])")
                }
            }
        }

        @Test("another key follows with the endorsement of the one before it")
        func rotates() async throws {
            try await withTestDatabase { client in
                try await client.beginLedger()
                let next = TestVerifierKey.text(2)
                try await expectRefusal("MR028", "endorsement") {
                    try await client.query("SELECT millrace.rotate_ledger_key($1, 'trust me')", [.text(next)])
                }
                let rows = try await client.query(
                    "SELECT millrace.rotate_ledger_key($1, $2, 'it is a year old')",
                    [.text(next), .text("millrace ledger key\n\(next)\n\n— signed\n")]
                )
                #expect(try rows.single().decode(Int32.self, at: 0) == 2)
                #expect(try await client.text("SELECT verifier_key FROM millrace.begin_block()") == next)
            }
        }

        @Test("what is in the ledger's tables never changes")
        func immutable() async throws {
            try await withTestDatabase { client in
                for table in ["ledger_keys", "ledger_blocks", "ledger_leaves", "ledger_nodes"] {
                    for change in ["DELETE FROM millrace.\(table)", "TRUNCATE millrace.\(table) CASCADE"] {
                        try await expectRefusal("MR007", "never changes") { try await client.run(change) }
                    }
                }
            }
        }

        @Test("a block that does not follow the last one is refused, and nothing of it stays")
        func blocks() async throws {
            try await withTestDatabase { client in
                try await client.beginLedger()
                // One event is there: that the ledger began.
                func seal(
                    number: Int = 1,
                    size: Int = 1,
                    last: Int = 1,
                    leaf: Int = 0,
                    hash: String? = nil,
                    key: Int = 1
                ) async throws {
                    try await client.withTransaction { transaction in
                        try await transaction.run("SELECT millrace.begin_block()")
                        try await transaction.run(
                            """
                            SELECT millrace.add_leaves(\(leaf), '{1}', sha256('leaf'), decode(repeat('00', 26), 'hex'))
                            """
                        )
                        let root = "sha256('root')"
                        let header = """
                            '\\x01'::bytea || int8send(\(number)) || decode(repeat('00', 32), 'hex') || int8send(1) || int8send(\(last))
                            || int8send(\(size)) || \(root) || int8send(5)
                            """
                        try await transaction.run(
                            """
                            SELECT millrace.add_block(\(number), 1, \(last), \(size), \(root), 5, \(hash ?? "sha256(\(header))"), \(key),
                                decode(repeat('01', 64), 'hex'))
                            """
                        )
                    }
                }
                for bad in [
                    { try await seal(number: 2) }, { try await seal(size: 2) }, { try await seal(last: 2) },
                    { try await seal(leaf: 1, hash: "sha256('x')") }, { try await seal(hash: "sha256('x')") },
                    { try await seal(key: 2) },
                ] as [() async throws -> Void] {
                    try await expectRefusal("MR028", "does not follow") { try await bad() }
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.ledger_leaves") == "0")
                try await seal()
                let status = "SELECT format('%s %s %s', blocks, tree_size, last_position) FROM millrace.ledger_status()"
                #expect(try await client.text(status) == "1 1 1")
                let checkpoint = try #require(try await client.text("SELECT millrace.ledger_checkpoint()"))
                #expect(checkpoint.hasPrefix("\(TestVerifierKey.origin)\n1\n"))
                #expect(checkpoint.contains("\nblock 1 "))
                #expect(checkpoint.split(separator: "\n").count == 5)
            }
        }

        @Test("an import of ledgered events appends them, and they are chained")
        func imports() async throws {
            try await withTestDatabase { client in
                try await client.beginLedger(chaining: "account")
                try await expectRefusal("MR014", "ledgered") {
                    try await client.withTransaction { transaction in
                        try await transaction.run(
                            "SELECT millrace.begin_import_chunk('{account}', '{1}', '{2}', '{a}', 10)"
                        )
                    }
                }
                let line = #"{"event_type": "a", "aggregate_type": "account", "aggregate_id": "1", "event_data": {}}"#
                try await client.run(
                    "SELECT millrace.import_lines('legacy', 0, 2, '\\x01', ARRAY['\(line)', '\(line)']::jsonb[])"
                )
                let audit = try await ChainAudit(of: client)
                #expect(audit.isClean && audit.chained == 4)
            }
        }
    }
}
