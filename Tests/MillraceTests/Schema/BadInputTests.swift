import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("bad input is refused by name, and nothing of it is stored")
    struct BadInputTests {
        struct Case: Sendable, CustomTestStringConvertible {
            let name: String
            let state: PostgresSQLState
            let words: String
            let sql: String
            var testDescription: String { name }

            init(_ name: String, _ state: PostgresSQLState, _ words: String, _ sql: String) {
                self.name = name
                self.state = state
                self.words = words
                self.sql = sql
            }

            static func publish(
                _ name: String,
                _ state: PostgresSQLState,
                _ words: String,
                type: String = "'a'",
                aggregate: String = "'order'",
                id: String = "'1'",
                data: String = "'{}'",
                metadata: String = "NULL",
                more: String = ""
            ) -> Case {
                Case(
                    "publish_event: \(name)",
                    state,
                    words,
                    "SELECT millrace.publish_event(\(type), \(id), \(aggregate), \(data), \(metadata)\(more))"
                )
            }

            static func register(
                _ name: String,
                _ state: PostgresSQLState,
                _ words: String,
                name handler: String = "'h'",
                kind: String = "'swift'",
                more: String = "NULL, NULL, NULL, 1, 0, 'all', 1, 0, 0, 1"
            ) -> Case {
                Case(
                    "register_handler: \(name)",
                    state,
                    words,
                    "SELECT millrace.register_handler(\(handler), \(kind), \(more))"
                )
            }

            static func append(
                _ name: String,
                _ state: PostgresSQLState,
                _ words: String,
                requests: String = "'{1,1}'",
                types: String = "'{a,b}'",
                aggregates: String = "'{order,order}'",
                ids: String = "'{1,2}'",
                data: String = "ARRAY['{}','{}']::jsonb[]",
                more: String = ""
            ) -> Case {
                Case(
                    "append_events: \(name)",
                    state,
                    words,
                    "SELECT millrace.append_events(\(requests), \(types), \(aggregates), \(ids), \(data)\(more))"
                )
            }
        }

        static let cases: [Case] = [
            .publish("empty event type", "MR001", "event_type is empty", type: "''"),
            .publish("missing event type", "MR001", "event_type is missing", type: "NULL"),
            .publish("long event type", "MR001", "event_type is 256 characters long", type: "repeat('x', 256)"),
            .publish("empty aggregate type", "MR001", "aggregate_type is empty", aggregate: "''"),
            .publish("long aggregate id", "MR001", "aggregate_id is 300 characters long", id: "repeat('ä', 300)"),
            .publish("empty aggregate id", "MR001", "aggregate_id is empty", id: "''"),
            .publish("no data", "MR011", "event_data is missing", data: "NULL"),
            .publish("metadata that is no object", "MR011", "metadata is a JSON array", metadata: "'[]'"),
            .publish("an infinite time", "MR011", "occurred_at", more: ", p_occurred_at => 'infinity'"),
            .publish("a time after RFC 3339's", "MR011", "occurred_at", more: ", p_occurred_at => '10000-01-01Z'"),
            .publish("a time before Christ", "MR011", "occurred_at", more: ", p_occurred_at => '0044-03-15Z BC'"),
            .publish("too large", "MR002", "the limit is 1048576", data: "to_jsonb(repeat('x', 1048576))"),
            .publish(
                "wrong expected version",
                "MR010",
                "at version 0, expected was 3",
                more: ", p_expected_version => 3"
            ),
            .publish("expected version below -1", "MR011", "expectation", more: ", p_expected_version => -2"),
            .publish("malformed JSON", .invalidTextRepresentation, "json", data: "'{'"),
            .publish("NUL escape", .untranslatableCharacter, "", data: #"'"\u0000"'"#),
            .publish("lone surrogate", .invalidTextRepresentation, "json", data: #"'"\ud800"'"#),
            .publish("number out of range", .numericValueOutOfRange, "", data: "'1e400000'"),
            .publish("20,000 levels of nesting", "54001", "stack", data: "repeat('[', 20000)::jsonb"),
            .append("empty event type", "MR001", "event_type of event 2 is empty", types: "ARRAY['a', '']"),
            .append(
                "null aggregate type",
                "MR001",
                "aggregate_type of event 1 is missing",
                aggregates: "ARRAY[NULL, 'o']"
            ),
            .append(
                "long aggregate id",
                "MR001",
                "aggregate_id of event 2 is 256 characters",
                ids: "ARRAY['1', repeat('x', 256)]"
            ),
            .append(
                "long content type",
                "MR001",
                "content_type of event 1",
                more: ", p_content_types => ARRAY[repeat('x', 256), NULL]"
            ),
            .append("no data", "MR011", "event_data of event 2 is missing", data: "ARRAY['{}', NULL]::jsonb[]"),
            .append("no request", "MR011", "request number of event 2", requests: "'{1,NULL}'"),
            .append(
                "bad metadata",
                "MR011",
                "metadata of event 1 is a JSON string",
                more: ", p_metadata => ARRAY['\"x\"', NULL]::jsonb[]"
            ),
            .append("too large", "MR002", "event_data of event 2", data: "ARRAY['{}', to_jsonb(repeat('x', 1048577))]"),
            .append(
                "payload too large",
                "MR002",
                "of event 1",
                more: ", p_payloads => ARRAY[decode(repeat('00', 1048577), 'hex'), NULL]"
            ),
            .append("fewer types", "MR004", "p_event_types has 1 elements", types: "'{a}'"),
            .append(
                "more ids",
                "MR004",
                "p_event_ids has 3",
                more: ", p_event_ids => ARRAY[uuidv7(), uuidv7(), uuidv7()]"
            ),
            .append("expectation arrays", "MR004", "p_expect_", more: ", p_expect_requests => '{1}'"),
            Case(
                "append_events: more streams than events, of two",
                "MR004",
                "p_aggregate_types has 3 elements",
                "SELECT millrace.append_events('{1,1}', '{e,e}', ARRAY['', 'q', 'r'], ARRAY['x', 'a', 'b'], '{1,2}')"
            ),
            Case(
                "append_events: fewer data than events, of two",
                "MR004",
                "p_event_data has 1 elements",
                "SELECT millrace.append_events('{1,1}', '{e,e}', '{q,q}', '{a,a}', '{1}', p_payloads => '{a,b}')"
            ),
            Case(
                "append_events: expectations without requests, of two",
                "MR004",
                "p_expect_",
                """
                SELECT millrace.append_events('{1,2}', '{e,e}', '{q,q}', '{a,b}', '{1,2}', p_expect_aggregate_types => '{q}',
                                              p_expect_aggregate_ids => '{a}', p_expect_versions => '{7}')
                """
            ),
            .append("unknown expectation", "MR011", "expectation", more: expecting("{1}", "-2")),
            .append("expectation of a request without events", "MR011", "expectation", more: expecting("{9}", "0")),
            .append(
                "too many events",
                "MR003",
                "10001 events",
                requests: "array_fill(1, ARRAY[10001])",
                types: "array_fill('a'::text, ARRAY[10001])",
                aggregates: "array_fill('o'::text, ARRAY[10001])",
                ids: "array_fill('1'::text, ARRAY[10001])",
                data: "array_fill('1'::jsonb, ARRAY[10001])"
            ),
            .append(
                "too many bytes",
                "MR003",
                "bytes",
                requests: "array_fill(1, ARRAY[70])",
                types: "array_fill('a'::text, ARRAY[70])",
                aggregates: "array_fill('o'::text, ARRAY[70])",
                ids: "array_fill('1'::text, ARRAY[70])",
                data: "array_fill(to_jsonb(repeat('x', 1000000)), ARRAY[70])"
            ),
            Case(
                "lock_streams: lengths",
                "MR004",
                "2 aggregate types and 1",
                "SELECT millrace.lock_streams('{a,b}', '{1}')"
            ),
            Case(
                "lock_streams: names",
                "MR001",
                "aggregate_id of event 1 is empty",
                "SELECT millrace.lock_streams('{a}', ARRAY[''])"
            ),
            .register("no name", "MR001", "p_handler_id is missing", name: "NULL"),
            .register("an empty name", "MR001", "p_handler_id is empty", name: "''"),
            .register("a kind", "MR011", "p_kind is 'perl'", kind: "'perl'"),
            .register(
                "a function for Swift",
                "MR011",
                "p_function is 'f'",
                more: "'f', NULL, NULL, 1, 0, 'all', 1, 0, 0, 1"
            ),
            .register("no types", "MR011", "p_event_types is empty", more: "NULL, '{}', NULL, 1, 0, 'all', 1, 0, 0, 1"),
            .register(
                "an empty type",
                "MR001",
                "p_event_types[2] is empty",
                more: "NULL, ARRAY['a', ''], NULL, 1, 0, 'all', 1, 0, 0, 1"
            ),
            .register(
                "a missing aggregate type",
                "MR001",
                "p_aggregate_types[1] is missing",
                more: "NULL, NULL, '{NULL}', 1, 0, 'all', 1, 0, 0, 1"
            ),
            .register("no lanes", "MR011", "p_lanes is 0", more: "NULL, NULL, NULL, 0, 0, 'all', 1, 0, 0, 1"),
            .register("a start", "MR011", "p_starts_after is -1", more: "NULL, NULL, NULL, 1, -1, 'all', 1, 0, 0, 1"),
            .register("an audit", "MR011", "p_audit is 'some'", more: "NULL, NULL, NULL, 1, 0, 'some', 1, 0, 0, 1"),
            .register("no attempt", "MR011", "p_max_attempts is 0", more: "NULL, NULL, NULL, 1, 0, 'all', 0, 0, 0, 1"),
            .register(
                "a first wait",
                "MR011",
                "p_first_wait_ms is -1",
                more: "NULL, NULL, NULL, 1, 0, 'all', 1, -1, 0, 1"
            ),
            .register(
                "a longest wait",
                "MR011",
                "p_longest_wait_ms is 4",
                more: "NULL, NULL, NULL, 1, 0, 'all', 1, 5, 4, 1"
            ),
            .register(
                "no parking",
                "MR011",
                "p_parked_limit is missing",
                more: "NULL, NULL, NULL, 1, 0, 'all', 1, 0, 0, NULL"
            ),
            Case("make_partitions: months", "MR011", "p_months_ahead is 121", "SELECT millrace.make_partitions(121)"),
        ]

        static func expecting(_ request: String, _ version: String) -> String {
            ", p_expect_requests => '\(request)', p_expect_aggregate_types => '{order}', "
                + "p_expect_aggregate_ids => '{1}', p_expect_versions => '{\(version)}'"
        }

        @Test("each is refused with its own code")
        func refused() async throws {
            try await withTestDatabase { client in
                for bad in Self.cases {
                    try await expectRefusal(bad.state, bad.words) {
                        try await client.run(bad.sql)
                        Issue.record("\(bad.name)")
                    }
                }
                #expect(try await client.text("SELECT count(*)::text FROM millrace.events") == "0")
                #expect(try await client.text("SELECT count(*)::text FROM millrace.streams") == "0")
            }
        }

        @Test("names of 255 characters, whatever their bytes, are stored")
        func longestNames() async throws {
            try await withTestDatabase { client in
                try await client.run(
                    "SELECT millrace.publish_event(repeat('😀', 255), repeat('😀', 255), repeat('😀', 255), '{}')"
                )
                #expect(
                    try await client.text(
                        "SELECT version::text FROM millrace.read_stream(repeat('😀', 255), repeat('😀', 255))"
                    ) == "1"
                )
            }
        }

        @Test("a limit that its owner changed is the limit")
        func limits() async throws {
            try await withTestDatabase { client in
                try await client.run("UPDATE millrace.store SET max_event_bytes = 200, max_batch_events = 1")
                try await expectRefusal("MR002", "200") {
                    try await client.run("SELECT millrace.publish_event('a', '1', 'o', to_jsonb(repeat('x', 300)))")
                }
                try await expectRefusal("MR003", "2 events") {
                    try await client.run(
                        "SELECT millrace.append_events('{1,1}', '{a,a}', '{o,o}', '{1,1}', ARRAY['1', '2']::jsonb[])"
                    )
                }
                #expect(try await client.text("SELECT max_event_bytes::text FROM millrace.store_info()") == "200")
            }
        }

        @Test("an event that compresses well is measured as it is, not as its table stored it")
        func compressed() async throws {
            try await withTestDatabase { client in
                try await client.run("CREATE TABLE large AS SELECT to_jsonb(repeat('x', 2000000)) AS data")
                try await expectRefusal("MR002", "2000") {
                    try await client.run("SELECT millrace.publish_event('a', '1', 'o', data) FROM large")
                }
            }
        }
    }
}
