import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

@testable import MillraceCLI

@Suite("millrace doctor")
struct DoctorTests {
    private func checks(_ test: CommandTest, _ more: [String] = [], status: Int32) async throws -> [String: [String:
        String]]
    {
        let result = try await test.command.run(["doctor", "--json"] + more)
        #expect(result.status == status, "\(result.output) \(result.error)")
        let all = try #require(try result.json()["checks"] as? [[String: String]])
        return Dictionary(all.map { ($0["name"] ?? "", $0) }) { first, second in
            second["verdict"] == "ok" ? first : second
        }
    }

    @Test("finds nothing failed in a fresh store, and says so to people and programs")
    func fresh() async throws {
        try await CommandTest.with(durability: .full) { test in
            let checks = try await checks(test, status: 0)
            for name in [
                "server version", "encoding", "schema", "privileges", "horizon", "months", "default partition",
                "immutability", "publication", "positions", "replication slots", "prepared transactions",
            ] {
                #expect(checks[name]?["verdict"] == "ok", "\(name): \(checks[name] ?? [:])")
            }
            let text = try await test.command.run(["doctor"])
            #expect(text.status == 0)
            #expect(text.output.contains("server version"))
            #expect(text.output.contains(" 0 failed.") || text.output.contains("checks are fine."))
            #expect(!text.output.contains("\u{1B}"))
        }
    }

    @Test("says that there is no schema, and how to get one")
    func noSchema() async throws {
        try await CommandTest.with(migrated: false, durability: .full) { test in
            let checks = try await checks(test, status: 5)
            #expect(checks["schema"]?["verdict"] == "failed")
            #expect(checks["schema"]?["remedy"] == "run `millrace migrate`")
        }
    }

    @Test("says that nobody seals a ledger, for how long, and what to do")
    func unsealed() async throws {
        try await CommandTest.with(durability: .full) { test in
            #expect(try await checks(test, status: 0)["ledger"]?["finding"] == "none is kept")
            // Of Go's documentation of notes: a key that is one.
            let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
            try await test.client.query(
                "SELECT millrace.init_ledger('PeterNeumann', $1, interval '100 milliseconds')",
                [.text(key)]
            )
            // One event is there: that the ledger began. It waits from now on.
            var ledger: [String: String]? = nil
            while ledger?["verdict"] != "failed" {
                let status = try await test.command.run(["doctor", "--json", "--patience", "0"])
                let all = try #require(try status.json()["checks"] as? [[String: String]])
                ledger = all.first { $0["name"] == "ledger" }
            }
            #expect(ledger?["finding"]?.hasPrefix("nobody seals: 1 event is unsealed") == true, "\(ledger ?? [:])")
            #expect(ledger?["remedy"]?.contains("--ledger-key") == true)
            #expect(try await checks(test, ["--patience", "86400"], status: 0)["ledger"]?["verdict"] == "ok")
        }
    }

    @Test("names the transaction that holds the horizon, and the command that settles it")
    func heldHorizon() async throws {
        try await CommandTest.with(durability: .full) { test in
            try await test.client.withTransaction { transaction in
                try await transaction.query("SELECT millrace.publish_event('a', '1', 'b', '{}')")
                let pid = transaction.connection.backendProcessID
                let checks = try await checks(test, ["--patience", "0"], status: 0)
                let horizon = try #require(checks["horizon"])
                #expect(horizon["verdict"] == "warning")
                #expect(horizon["finding"]?.contains("process \(pid)") == true, "\(horizon)")
                #expect(horizon["remedy"]?.contains("SELECT pg_terminate_backend(\(pid))") == true, "\(horizon)")
                let patient = try await self.checks(test, ["--patience", "86400"], status: 0)
                #expect(patient["horizon"]?["verdict"] == "ok")
            }
        }
    }

    @Test("names a prepared transaction that holds the horizon")
    func prepared() async throws {
        try await CommandTest.with(durability: .full) { test in
            let gid = "doctor's \(UUID().uuidString)"
            try await test.client.script(
                """
                BEGIN;
                SET LOCAL millrace.notify_on_publish = off;
                SELECT millrace.publish_event('a', '1', 'b', '{}');
                PREPARE TRANSACTION '\(gid.replacingOccurrences(of: "'", with: "''"))';
                """
            )
            let checks = try await checks(test, ["--patience", "0"], status: 0)
            let settle = "ROLLBACK PREPARED '\(gid.replacingOccurrences(of: "'", with: "''"))'"
            #expect(checks["horizon"]?["finding"]?.contains(gid) == true, "\(checks["horizon"] ?? [:])")
            #expect(checks["horizon"]?["remedy"]?.contains(settle) == true, "\(checks["horizon"] ?? [:])")
            #expect(checks["prepared transactions"]?["verdict"] == "warning")
            try await test.client.script(settle)
            #expect(try await self.checks(test, ["--patience", "0"], status: 0)["horizon"]?["verdict"] == "ok")
        }
    }

    @Test("names the session whose old snapshot keeps old rows alive")
    func oldSnapshot() async throws {
        try await CommandTest.with(durability: .full) { test in
            try await test.client.withTransaction(.init(isolation: .repeatableRead, readOnly: true)) { transaction in
                try await transaction.query("SELECT count(*) FROM millrace.streams")
                let pid = transaction.connection.backendProcessID
                let found = try #require(try await checks(test, ["--patience", "0"], status: 0)["old snapshots"])
                #expect(found["verdict"] == "warning")
                #expect(found["finding"]?.contains("process \(pid)") == true, "\(found)")
                #expect(found["remedy"]?.contains("SELECT pg_terminate_backend(\(pid))") == true, "\(found)")
            }
            #expect(try await checks(test, ["--patience", "0"], status: 0)["old snapshots"]?["verdict"] == "ok")
        }
    }

    @Test("finds a month without a partition, and the remedy it gives mends it")
    func missingMonth() async throws {
        try await CommandTest.with(durability: .full) { test in
            let month = "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '%', '\"millrace.events_\"YYYY_MM')"
            for (ahead, verdict, status) in [("1 month", "warning", Int32(0)), ("0 months", "failed", 5)] {
                let partition = try await test.texts(month.replacingOccurrences(of: "%", with: ahead))[0]
                try await test.client.script("ALTER TABLE millrace.events DETACH PARTITION \(partition)")
                try await test.client.script("DROP TABLE \(partition)")
                let found = try await checks(test, status: status)["months"]
                #expect(found?["verdict"] == verdict)
                try await test.client.script(try #require(found?["remedy"]))
                #expect(try await checks(test, status: 0)["months"]?["verdict"] == "ok")
            }
        }
    }

    @Test("finds events in the default partition")
    func defaultPartition() async throws {
        try await CommandTest.with(durability: .full) { test in
            let month = try await test.texts("SELECT to_char(now() AT TIME ZONE 'UTC', '\"millrace.events_\"YYYY_MM')")[
                0
            ]
            try await test.client.script("ALTER TABLE millrace.events DETACH PARTITION \(month)")
            try await test.client.query("SELECT millrace.publish_event('a', '1', 'b', '{}')")
            let found = try await checks(test, status: 5)
            #expect(found["default partition"]?["verdict"] == "warning")
            #expect(found["months"]?["verdict"] == "failed")
        }
    }

    @Test(
        "finds a trigger that a superuser disabled, weakened or dropped, and the remedy it gives mends it",
        arguments: [
            ("ALTER TABLE millrace.events DISABLE TRIGGER events_never_change", "is disabled"),
            ("ALTER TABLE millrace.events_default ENABLE TRIGGER events_never_change", "does not fire for everyone"),
            ("DROP TRIGGER events_never_change ON millrace.events_default", "is missing"),
            ("ALTER TABLE millrace.streams DISABLE TRIGGER streams_never_disappear", "DELETE"),
        ]
    )
    func guards(harm: String, word: String) async throws {
        try await CommandTest.with(durability: .full) { test in
            try await test.client.script(harm)
            let found = try #require(try await checks(test, status: 5)["immutability"])
            #expect(found["verdict"] == "failed")
            #expect(found["finding"]?.contains(word) == true, "\(found)")
            try await test.client.script(try #require(found["remedy"]))
            #expect(try await checks(test, status: 0)["immutability"]?["verdict"] == "ok")
        }
    }

    @Test("finds a sequence that hoards positions, and a missing publication")
    func catalogue() async throws {
        try await CommandTest.with(durability: .full) { test in
            try await test.client.script(
                "ALTER SEQUENCE millrace.events_id_seq CACHE 50; DROP PUBLICATION event_publication"
            )
            let found = try await checks(test, status: 5)
            #expect(found["positions"]?["verdict"] == "failed")
            #expect(found["publication"]?["verdict"] == "warning")
            for name in ["positions", "publication"] {
                try await test.client.script(try #require(found[name]?["remedy"]))
            }
            let mended = try await checks(test, status: 0)
            #expect(mended["positions"]?["verdict"] == "ok")
            #expect(mended["publication"]?["verdict"] == "ok")
        }
    }

    @Test("ends with a code of its own where no server can be reached")
    func unreachable() async throws {
        try await Scratch.with { folder in
            let nowhere = Command(database: "host=\(folder.path) port=1 user=nobody dbname=none", folder: folder)
            let result = try await nowhere.run(["doctor"])
            #expect(result.status == 69)
            #expect(result.error.hasPrefix("millrace: "))
        }
    }
}

@Suite("Doctor judges a server")
struct ServerChecksTests {
    private func verdict(_ name: String, _ change: (inout ServerFacts) -> Void) -> Check.Verdict? {
        var facts = ServerFacts.sound
        change(&facts)
        return facts.checks.first { $0.name == name }?.verdict
    }

    @Test("and finds nothing in a sound one")
    func sound() {
        #expect(ServerFacts.sound.checks.allSatisfy { $0.verdict == .ok })
    }

    @Test("by each of its settings")
    func settings() {
        #expect(verdict("server version") { $0.versionNumber = 170_004 } == .failed)
        #expect(verdict("primary") { $0.isStandby = true } == .warning)
        #expect(verdict("encoding") { $0.encoding = "SQL_ASCII" } == .failed)
        #expect(verdict("fsync") { $0.settings["fsync"] = "off" } == .failed)
        #expect(verdict("full_page_writes") { $0.settings["full_page_writes"] = "off" } == .failed)
        #expect(verdict("synchronous_commit") { $0.settings["synchronous_commit"] = "off" } == .warning)
        #expect(verdict("data checksums") { $0.settings["data_checksums"] = "off" } == .warning)
        #expect(verdict("wal_level") { $0.settings["wal_level"] = "replica" } == .warning)
        #expect(verdict("max_locks_per_transaction") { $0.settings["max_locks_per_transaction"] = "64" } == .warning)
        #expect(verdict("deadlock_timeout") { $0.settings["deadlock_timeout"] = "5000" } == .warning)
        #expect(verdict("open transactions") { $0.settings["idle_in_transaction_session_timeout"] = "0" } == .warning)
        #expect(verdict("notification queue") { $0.notificationQueue = 0.8 } == .warning)
    }
}

extension ServerFacts {
    fileprivate static let sound = ServerFacts(
        versionNumber: 180_006,
        version: "18.6",
        isStandby: false,
        database: "millrace",
        encoding: "UTF8",
        role: "millrace",
        isSuperuser: false,
        millraceRoles: ["millrace_admin"],
        notificationQueue: 0,
        settings: [
            "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
            "wal_level": "logical", "max_locks_per_transaction": "256", "deadlock_timeout": "200",
            "transaction_timeout": "0", "idle_in_transaction_session_timeout": "60000",
        ]
    )
}
