import Millrace
import MillracePostgres

/// The server and the role that asks.
struct ServerFacts: Sendable {
    var versionNumber: Int
    var version: String
    var isStandby: Bool
    var database: String
    var encoding: String
    var role: String
    var isSuperuser: Bool
    var millraceRoles: [String]
    var notificationQueue: Double
    /// Of ``settingNames``, in each setting's own unit.
    var settings: [String: String]

    static let settingNames = [
        "fsync", "full_page_writes", "synchronous_commit", "data_checksums", "wal_level", "max_locks_per_transaction",
        "deadlock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout",
    ]

    /// Whether this server can hold the schema at all.
    var isNewEnough: Bool { versionNumber >= Migrator.oldestServer * 10_000 }
}

extension ServerFacts {
    /// Two statements.
    init(_ session: some PostgresSession) async throws {
        let row = try await session.query(.embedded(PackageResources.doctor_server_sql)).single()
        let rows = try await session.query(
            .embedded(PackageResources.doctor_settings_sql),
            [.textArray(ServerFacts.settingNames)]
        )
        var settings: [String: String] = [:]
        for row in rows {
            settings[try row.decode(String.self, named: "name")] = try row.decode(String?.self, named: "value") ?? ""
        }
        self.init(
            versionNumber: Int(try row.decode(Int32.self, named: "version_number")),
            version: try row.decode(String.self, named: "version"),
            isStandby: try row.decode(Bool.self, named: "is_standby"),
            database: try row.decode(String.self, named: "database"),
            encoding: try row.decode(String.self, named: "encoding"),
            role: try row.decode(String.self, named: "role"),
            isSuperuser: try row.decode(Bool.self, named: "is_superuser"),
            millraceRoles: try row.decode([String].self, named: "millrace_roles"),
            notificationQueue: try row.decode(Double.self, named: "notification_queue"),
            settings: settings
        )
    }
}

extension ServerFacts {
    /// What the embedded server has; a generic plan over many months locks every one of them.
    static let enoughLocks = 256
    static let longestDeadlockTimeout = 1_000
    static let fullQueue = 0.5

    var checks: [Check] {
        [
            versionCheck, standbyCheck, encodingCheck,
            durable("fsync", "a crash of the machine can lose or garble events that were acknowledged"),
            durable("full_page_writes", "a crash of the machine can leave half-written pages behind"),
            synchronousCommit, checksums, walLevel, locks, deadlockTimeout, openTransactions, notifications,
        ]
    }

    private var versionCheck: Check {
        isNewEnough
            ? .ok("server version", "PostgreSQL \(version)")
            : .failed(
                "server version",
                "PostgreSQL \(version), and Millrace needs \(Migrator.oldestServer) or newer",
                "upgrade the server, or leave --database-url and DATABASE_URL out: Millrace then starts its own"
            )
    }

    private var standbyCheck: Check {
        isStandby
            ? .warning(
                "primary",
                "this is a standby: nothing can be appended here, and the log has no horizon",
                "connect to the primary, e.g. with target_session_attrs=primary and all hosts in the URL"
            )
            : .ok("primary", "this server takes writes")
    }

    private var encodingCheck: Check {
        encoding == "UTF8"
            ? .ok("encoding", encoding)
            : .failed(
                "encoding",
                "\(encoding) cannot hold every event's text",
                "make a new database: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
    }

    private func durable(_ setting: String, _ danger: String) -> Check {
        settings[setting] == "on"
            ? .ok(setting, "on")
            : .failed(
                setting,
                "off: \(danger)",
                "ALTER SYSTEM SET \(setting) = on; SELECT pg_reload_conf();"
            )
    }

    private var synchronousCommit: Check {
        let value = settings["synchronous_commit"] ?? "unknown"
        return ["on", "remote_apply"].contains(value)
            ? .ok("synchronous_commit", value)
            : .warning(
                "synchronous_commit",
                "\(value): an append raises it for its own transaction, your other writes stay less durable",
                "ALTER DATABASE \(database.quotedName) SET synchronous_commit = on;"
            )
    }

    private var checksums: Check {
        settings["data_checksums"] == "on"
            ? .ok("data checksums", "on")
            : .warning(
                "data checksums",
                "off: PostgreSQL does not notice when the disk changes what is stored",
                "stop the server and run pg_checksums --enable --pgdata=…"
            )
    }

    private var walLevel: Check {
        let value = settings["wal_level"] ?? "unknown"
        return value == "logical"
            ? .ok("wal_level", value)
            : .warning(
                "wal_level",
                "\(value): the publication event_publication cannot be subscribed to",
                "ALTER SYSTEM SET wal_level = logical; and restart the server"
            )
    }

    private var locks: Check {
        let value = Int(settings["max_locks_per_transaction"] ?? "") ?? 0
        return value >= ServerFacts.enoughLocks
            ? .ok("max_locks_per_transaction", value.grouped)
            : .warning(
                "max_locks_per_transaction",
                "\(value.grouped): reading over some years of months may run out of locks",
                "ALTER SYSTEM SET max_locks_per_transaction = \(ServerFacts.enoughLocks); and restart the server"
            )
    }

    private var deadlockTimeout: Check {
        let value = Int(settings["deadlock_timeout"] ?? "") ?? 0
        let text = Duration.milliseconds(value).brief
        return value <= ServerFacts.longestDeadlockTimeout
            ? .ok("deadlock_timeout", text)
            : .warning(
                "deadlock_timeout",
                "\(text): transactions that lock streams in different orders stand still for so long",
                "ALTER SYSTEM SET deadlock_timeout = '200ms'; SELECT pg_reload_conf();"
            )
    }

    private var openTransactions: Check {
        let limits = ["transaction_timeout", "idle_in_transaction_session_timeout"].compactMap { name in
            Int(settings[name] ?? "").flatMap { $0 > 0 ? "\(name) \(Duration.milliseconds($0).brief)" : nil }
        }
        return limits.isEmpty
            ? .warning(
                "open transactions",
                "nothing ends a publisher who stays in an open transaction: every subscriber waits for him",
                "ALTER DATABASE \(database.quotedName) SET idle_in_transaction_session_timeout = '60s';"
            )
            : .ok("open transactions", "ended by \(limits.joined(separator: ", "))")
    }

    private var notifications: Check {
        let share = "\((notificationQueue * 100).fixed(0)) % full"
        return notificationQueue < ServerFacts.fullQueue
            ? .ok("notification queue", share)
            : .warning(
                "notification queue",
                "\(share): once it is, publish_event fails wherever it notifies",
                "end the session that listens in an open transaction: SELECT pid, xact_start, query FROM pg_stat_activity "
                    + "WHERE state LIKE 'idle in transaction%' ORDER BY xact_start;"
            )
    }
}

extension String {
    /// As an SQL identifier.
    var quotedName: String {
        "\"" + split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// As an SQL literal.
    var quotedLiteral: String {
        "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }
}
