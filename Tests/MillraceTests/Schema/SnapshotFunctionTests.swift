import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("snapshots in SQL")
    struct SnapshotFunctionTests {
        private static let publish = "SELECT millrace.publish_event('t', '1', 'a', '{}')"

        private func save(_ version: Int, shape: Int = 1, state: String = "{}") -> String {
            "SELECT millrace.save_snapshot('a', '1', 'd', \(shape), \(version), '\(state)')::text"
        }

        @Test("never goes back to a lower version, and replaces one of the same")
        func onlyForwards() async throws {
            try await withTestDatabase { client in
                for _ in 0..<3 { try await client.run(Self.publish) }
                #expect(try await client.text(save(2, state: "1")) == "true")
                #expect(try await client.text(save(1, state: "2")) == "false")
                #expect(try await client.text("SELECT state::text FROM millrace.snapshots") == "1")
                #expect(try await client.text(save(2, state: "3")) == "true")
                #expect(try await client.text("SELECT state::text FROM millrace.snapshots") == "3")
                #expect(try await client.text(save(3, shape: 2)) == "true")
                #expect(try await client.texts("SELECT shape::text FROM millrace.snapshots") == ["2"])
            }
        }

        @Test("is only of a version that the stream has, its own transaction's included")
        func existingVersion() async throws {
            try await withTestDatabase { client in
                try await expectRefusal("MR022", "a/1 is at version 0") { try await client.run(save(1)) }
                try await client.run(Self.publish)
                try await expectRefusal("MR022", "has no version 2") { try await client.run(save(2)) }
                try await client.withTransaction { transaction in
                    try await transaction.run(Self.publish)
                    #expect(try await transaction.text(save(2)) == "true")
                    // Nobody else sees the version yet.
                    try await expectRefusal("MR022") { try await client.run(save(2)) }
                }
            }
        }

        @Test("the state is the text that was given")
        func verbatim() async throws {
            try await withTestDatabase { client in
                try await client.run(Self.publish)
                let state = #"{"b":1.10, "a":"\u0000", "a":1e999}"#
                try await client.run(save(1, state: state))
                #expect(try await client.text("SELECT state::text FROM millrace.snapshots") == state)
            }
        }

        @Test("arguments are checked, and the field is named")
        func arguments() async throws {
            try await withTestDatabase { client in
                try await client.run(Self.publish)
                try await expectRefusal("MR011", "p_shape is -1") { try await client.run(save(1, shape: -1)) }
                try await expectRefusal("MR011", "p_version is 0") { try await client.run(save(0)) }
                try await expectRefusal("MR001", "p_decider is empty") {
                    try await client.run("SELECT millrace.save_snapshot('a', '1', '', 1, 1, '{}')")
                }
                try await expectRefusal("MR011", "p_state is missing") {
                    try await client.run("SELECT millrace.save_snapshot('a', '1', 'd', 1, 1, NULL)")
                }
                try await expectRefusal("MR011", "p_state has 16777218 bytes") {
                    try await client.run(
                        "SELECT millrace.save_snapshot('a', '1', 'd', 1, 1, to_json(repeat('x', 16777216)))"
                    )
                }
                try await expectRefusal("MR001") { try await client.run("SELECT millrace.discard_snapshots('')") }
            }
        }

        @Test("one call reads the snapshot and what follows it, up to a limit and a version")
        func load() async throws {
            try await withTestDatabase { client in
                for _ in 0..<6 { try await client.run(Self.publish) }
                try await client.run(save(3))
                func load(_ arguments: String) async throws -> [String?] {
                    try await client.texts(
                        """
                        SELECT coalesce(version::text, format('%s/%s', stream_version, snapshot_version))
                        FROM millrace.load_aggregate('a', '1', \(arguments))
                        """
                    )
                }
                #expect(try await load("'d', 1") == ["6/3", "4", "5", "6"])
                #expect(try await load("'d', 1, 2") == ["6/3", "4", "5"])
                #expect(try await load("'d', 2") == ["6/", "1", "2", "3", "4", "5", "6"])
                #expect(try await load("'e', 1") == ["6/", "1", "2", "3", "4", "5", "6"])
                #expect(try await load("NULL, NULL, 1") == ["6/", "1"])
                #expect(try await load("'d', 1, 10, 3") == ["6/3"])
                #expect(try await load("'d', 1, 10, 2") == ["6/", "1", "2"])
                #expect(
                    try await client.texts("SELECT stream_version::text FROM millrace.load_aggregate('a', '2')") == [
                        "0"
                    ]
                )
            }
        }

        @Test("a consumer loads and cannot save, a publisher does both")
        func privileges() async throws {
            try await withTestDatabase { client in
                try await client.run(Self.publish)
                try await client.withConnection { connection in
                    try await connection.run("SET ROLE millrace_consumer")
                    let version = try await connection.text(
                        "SELECT stream_version::text FROM millrace.load_aggregate('a', '1', p_limit => 0)"
                    )
                    #expect(version == "1")
                    try await expectRefusal(.insufficientPrivilege) { try await connection.run(save(1)) }
                    try await connection.run("SET ROLE millrace_publisher")
                    #expect(try await connection.text(save(1)) == "true")
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("SELECT FROM millrace.snapshots")
                    }
                    #expect(try await connection.text("SELECT millrace.discard_snapshots('a')::text") == "1")
                    try await connection.run("RESET ROLE")
                }
            }
        }
    }
}
