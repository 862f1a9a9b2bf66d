public import MillracePostgres

/// Brings the schema `millrace` of a database to what this library was built with.
///
/// Tables change by numbered migrations that are never edited, each in a transaction of its own; functions and views are
/// re-created as a whole when any of them differs, and those that are no more are dropped: the schema is Millrace's alone,
/// so keep views and functions of your own in another one. A grant of yours on a function stays for as long as its
/// parameters and its result do. Running it twice, or from several processes at once, is harmless: each
/// step takes the same advisory lock and looks again at what was done while it waited.
///
/// The role that migrates owns the schema. It needs CREATE on the database, and CREATEROLE where the four roles
/// `millrace_publisher`, `millrace_consumer`, `millrace_importer` and `millrace_admin` do not exist in the cluster.
public struct Migrator: Sendable {
    /// The oldest PostgreSQL that has what the schema needs, uuidv7() among it.
    public static let oldestServer = 18

    /// How long one step may wait for another migrator and then work.
    public static let stepTimeout: Duration = .seconds(300)

    /// How often `millrace.close_months` is called at the most: once to set the bound, once after it is committed.
    private static let closingSteps = 2

    private let client: PostgresClient

    public init(client: PostgresClient) {
        self.client = client
    }

    /// What ``migrate()`` would run, without changing anything: the dry run.
    ///
    /// - Throws: ``MigrationError`` where it would refuse, or `PostgresError`.
    public func plan() async throws -> MigrationPlan {
        try await checkServer()
        let library = try await Library(client)
        guard try await exists() else {
            return MigrationPlan(migrations: library.migrations.map(\.name), recreatesFunctions: true)
        }
        let applied = try await appliedMigrations(in: client)
        let pending = try library.pending(after: applied)
        let installed = try await installedFunctions(in: client)
        return MigrationPlan(
            migrations: pending.map(\.name),
            recreatesFunctions: installed != library.functionsChecksum
        )
    }

    /// Runs what is missing, makes the partitions of this month and the next ones, and closes the months that are over.
    ///
    /// - Returns: what this call did; empty where another process was faster.
    /// - Throws: ``MigrationError``, or `PostgresError`. Migrations that had been committed by then stay.
    @discardableResult
    public func migrate() async throws -> MigrationReport {
        try await checkServer()
        let library = try await Library(client)
        var report = MigrationReport()

        if try await !exists() {
            try await step { transaction in
                try await transaction.connection.script(Self.ground.sql)
            }
        }
        for migration in library.migrations {
            let ran = try await step { transaction in
                let pending = try library.pending(after: try await appliedMigrations(in: transaction))
                guard pending.first?.version == migration.version else { return false }
                try await transaction.connection.script(migration.sql)
                try await transaction.query(
                    Self.recordMigration,
                    [.int4(Int32(migration.version)), .text(migration.name), .text(migration.checksum)]
                )
                return true
            }
            if ran { report.migrations.append(migration.name) }
        }
        report.recreatedFunctions = try await recreateFunctions(library)
        report.partitions = try await makePartitions()
        try await closeMonths()
        return report
    }

    /// Closes the months that are over (`millrace.close_months`), for which readers of later events then do not look any
    /// more. A month in which a transaction may still store something stays open until the next call.
    ///
    /// - Throws: `PostgresError`.
    public func closeMonths() async throws {
        for _ in 1...Self.closingSteps {
            let answer = try await client.query(Self.closeMonths, [], timeout: Self.stepTimeout).single()
            guard try answer.decode(String.self, at: 0) == "closing" else { return }
        }
    }

    private func recreateFunctions(_ library: Library) async throws -> Bool {
        try await step { transaction in
            _ = try library.pending(after: try await appliedMigrations(in: transaction))
            guard try await installedFunctions(in: transaction) != library.functionsChecksum else { return false }
            try await FunctionScripts(in: transaction).run(Self.functions)
            try await transaction.query(Self.recordFunctions, [.text(library.functionsChecksum)])
            return true
        }
    }

    private func makePartitions() async throws -> [MigrationReport.Partition] {
        try await step { transaction in
            try await transaction.query(Self.makePartitionsAhead, [], timeout: Self.stepTimeout).map { row in
                MigrationReport.Partition(
                    name: try row.decode(String.self, at: 0),
                    outcome: try row.decode(String.self, at: 1)
                )
            }
        }
    }

    /// One step: a transaction that begins with the lock, so that what it then reads is not changed by another migrator.
    private func step<T: Sendable>(_ body: (PostgresTransaction) async throws -> T) async throws -> T {
        try await client.withTransaction { transaction in
            try await transaction.query(Self.migrationLock, [], timeout: Self.stepTimeout)
            return try await body(transaction)
        }
    }

    private func checkServer() async throws {
        guard let row = try await client.query(Self.serverVersion).first else { return }
        guard try row.decode(Int32.self, at: 0) >= Int32(Self.oldestServer * 10_000) else {
            throw MigrationError.serverTooOld(version: try row.decode(String.self, at: 1))
        }
    }

    private func exists() async throws -> Bool {
        try await client.query(Self.migrationsPresent).first?.decode(Bool.self, at: 0) ?? false
    }

    private func appliedMigrations(in session: some PostgresSession) async throws -> [AppliedMigration] {
        try await session.query(Self.selectApplied).map { row in
            AppliedMigration(
                version: Int(try row.decode(Int32.self, at: 0)),
                name: try row.decode(String.self, at: 1),
                checksum: try row.decode(String.self, at: 2)
            )
        }
    }

    private func installedFunctions(in session: some PostgresSession) async throws -> String? {
        try await session.query(Self.selectFunctions).first?.decode(String.self, at: 0)
    }
}

/// What ``Migrator/migrate()`` would do.
public struct MigrationPlan: Sendable, Hashable {
    /// The names of the migrations that are missing, in their order.
    public var migrations: [String]
    public var recreatesFunctions: Bool

    public var isEmpty: Bool { migrations.isEmpty && !recreatesFunctions }
}

/// What a call of ``Migrator/migrate()`` did.
public struct MigrationReport: Sendable, Hashable {
    public struct Partition: Sendable, Hashable {
        public var name: String
        /// `created`, `present`, `busy` (make_partitions has to be called again), `in_default` (its events are in the
        /// default partition).
        public var outcome: String
    }

    public var migrations: [String] = []
    public var recreatedFunctions = false
    public var partitions: [Partition] = []
}

/// Why a database is not migrated.
public enum MigrationError: Error, Sendable, Hashable, CustomStringConvertible {
    case serverTooOld(version: String)
    /// A migration that ran here reads otherwise in this library.
    case edited(name: String)
    /// A newer Millrace has been here.
    case unknown(name: String)
    /// Something is recorded that cannot come about by migrating.
    case missing(name: String)
    /// Something outside of the schema depends on a function or view that has to go. No function was changed.
    case inUse(command: String, by: String)

    public var description: String {
        switch self {
        case .serverTooOld(let version):
            "this is PostgreSQL \(version), and Millrace needs \(Migrator.oldestServer) or newer: upgrade the server, "
                + "or let Millrace start its own"
        case .edited(let name):
            "the migration \(name) has run here, but with another text than this Millrace has: use the Millrace that "
                + "migrated this database"
        case .unknown(let name):
            "the migration \(name) has run here, and this Millrace does not know it: use a newer Millrace"
        case .missing(let name):
            "the migration \(name) has not run here, but later ones have: restore millrace.schema_migrations"
        case .inUse(let command, let dependents):
            "\(command) is needed and not possible, because \(dependents): drop what depends on it, migrate, and create "
                + "it again"
        }
    }
}
