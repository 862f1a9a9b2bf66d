import Millrace
import MillracePostgres

/// Looks at the schema `millrace` of a database, one check after the other.
struct StoreChecks {
    static let monthsAhead = 2
    /// A slot that nobody reads may keep so much WAL before it is worth a warning.
    static let slotBudget: Int64 = 1 << 30
    static let mostShown = 20
    /// How many times the patience a snapshot may be old before it is worth a warning: reports take their time.
    static let snapshotPatience = 6

    let client: PostgresClient
    let server: ServerFacts
    /// How long a transaction may hold the horizon, or stay prepared, unremarked; ten times as long is a failure.
    let patience: Duration

    func run() async throws -> [Check] {
        guard let schema = try await client.query(.embedded(PackageResources.doctor_schema_sql)).first else {
            return [.failed("schema", "there is no schema millrace in this database", "run `millrace migrate`")]
        }
        let owner = try schema.decode(String.self, named: "owner")
        guard try schema.decode(Bool.self, named: "is_usable") else {
            return [
                .failed(
                    "schema",
                    "\(server.role) may not use the schema millrace, which \(owner) owns",
                    "as \(owner): GRANT millrace_consumer TO \(server.role.quotedName); (or publisher, importer, admin)"
                )
            ]
        }
        var checks = [try await schemaVersion()]
        checks.append(privileges(owner: owner, isOwner: try schema.decode(Bool.self, named: "is_mine")))
        checks.append(sessions(owner: owner, areSeen: try schema.decode(Bool.self, named: "owner_sees_sessions")))
        checks += try await looked("horizon") { try await horizon() }
        checks += try await looked("prepared transactions") { [try await prepared()] }
        checks += try await looked("old snapshots") { try await snapshots() }
        checks += try await looked("positions") { [try await sequence()] }
        checks += try await looked("months") { [try await months()] }
        checks += try await looked("default partition") { [try await defaultPartition()] }
        checks += try await looked("immutability") { try await guards() }
        checks += try await looked("publication") { [try await publication()] }
        checks += try await looked("replication slots") { try await slots() }
        checks += try await looked("handlers") { try await handlers() }
        checks += try await looked("projections") { try await projections() }
        checks += try await looked("ledger") { try await ledger() }
        return checks
    }

    /// A check that cannot be made is one that is not fine: it says why and the others go on.
    private func looked(_ name: String, _ body: () async throws -> [Check]) async throws -> [Check] {
        do {
            return try await body()
        } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
            return [
                .warning(
                    name,
                    "could not be looked at: \(server.role) may not",
                    "run doctor as a member of millrace_admin: GRANT millrace_admin TO \(server.role.quotedName);"
                )
            ]
        } catch let error as PostgresError where error.isSchemaMissing {
            return [.failed(name, "could not be looked at: \(error)", "run `millrace migrate`")]
        } catch PostgresError.server(let error) where error.sqlState.errorClass == "MR" {
            return [.failed(name, error.message, error.hint ?? "see the message")]
        }
    }

    private func schemaVersion() async throws -> Check {
        let name = "schema"
        do {
            let plan = try await Migrator(client: client).plan()
            if plan.isEmpty { return .ok(name, "as this program needs it") }
            let missing = plan.migrations + (plan.recreatesFunctions ? ["the functions"] : [])
            return .failed(
                name,
                "older or newer than this program: \(missing.joined(separator: ", ")) would be run",
                "run `millrace migrate`"
            )
        } catch let error as MigrationError {
            return .failed(name, "\(error)", "use the Millrace that migrated this database last, or a newer one")
        } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
            return .warning(
                name,
                "whether it is this program's could not be looked at: \(server.role) may not",
                "run doctor as a member of millrace_admin: GRANT millrace_admin TO \(server.role.quotedName);"
            )
        }
    }

    private func privileges(owner: String, isOwner: Bool) -> Check {
        let name = "privileges"
        if server.isSuperuser {
            return .ok(name, "\(server.role) is a superuser; give services a role of their own")
        }
        if isOwner { return .ok(name, "\(server.role) owns the schema; give services a role of their own") }
        return server.millraceRoles.isEmpty
            ? .warning(
                name,
                "\(server.role) has none of Millrace's roles",
                "as \(owner): GRANT millrace_publisher, millrace_consumer TO \(server.role.quotedName);"
            )
            : .ok(name, "\(server.role) is \(server.millraceRoles.joined(separator: ", "))")
    }

    private func sessions(owner: String, areSeen: Bool) -> Check {
        let name = "sight of sessions"
        return areSeen
            ? .ok(name, "\(owner) sees what other sessions do")
            : .warning(
                name,
                "\(owner) does not see what other sessions do: who holds the horizon would be shown without query and age",
                "GRANT pg_read_all_stats TO \(owner.quotedName);"
            )
    }

    private func horizon() async throws -> [Check] {
        let name = "horizon"
        if server.isStandby { return [] }
        let holders = try await HorizonHolder.all(client, limit: StoreChecks.mostShown)
        let slow = holders.filter { ($0.seconds.map { .seconds($0) } ?? patience) >= patience }
        if slow.isEmpty {
            let busy =
                holders.isEmpty ? "nobody holds it back" : "\(holders.count) transactions are appending right now"
            return [.ok(name, busy)]
        }
        return slow.map { holder in
            let age = holder.seconds.map { "for \(Duration.seconds($0).brief)" } ?? "for a time this role may not see"
            let isLong = (holder.seconds.map { .seconds($0) } ?? .zero) >= patience * 10 && patience > .zero
            return Check(
                name: name,
                verdict: isLong ? .failed : .warning,
                finding: "held back \(age) by \(holder.label), \(holder.positionsBehind.grouped) positions behind",
                remedy:
                    "let it finish, or settle it: \(holder.settleWith ?? "as a member of pg_read_all_stats look again")"
            )
        }
    }

    private func handlers() async throws -> [Check] {
        // What is pending lies below a horizon, which a standby has none of.
        if server.isStandby { return [] }
        return try await HandlerChecks(client: client, patience: patience).run()
    }

    private func projections() async throws -> [Check] {
        if server.isStandby { return [] }
        return try await ProjectionChecks(client: client, patience: patience).run()
    }

    private func ledger() async throws -> [Check] {
        // What is unsealed lies below a horizon too.
        if server.isStandby { return [] }
        return try await LedgerChecks(client: client, patience: patience).run()
    }

    private func prepared() async throws -> Check {
        let name = "prepared transactions"
        let rows = try await client.query(
            .embedded(PackageResources.doctor_prepared_sql),
            [.int8(Int64(StoreChecks.mostShown))]
        )
        guard let oldest = rows.first else { return .ok(name, "none") }
        let age = Duration.seconds(try oldest.decode(Double.self, named: "seconds"))
        let gid = try oldest.decode(String.self, named: "gid")
        let owner = try oldest.decode(String.self, named: "owner")
        if age < patience { return .ok(name, "\(rows.count), the oldest for \(age.brief)") }
        return .warning(
            name,
            "“\(gid)” of \(owner) waits for \(age.brief): it keeps its locks, and the horizon where it published",
            "COMMIT PREPARED \(gid.quotedLiteral); or ROLLBACK PREPARED \(gid.quotedLiteral);"
        )
    }

    private func snapshots() async throws -> [Check] {
        let name = "old snapshots"
        let rows = try await client.query(
            .embedded(PackageResources.doctor_snapshots_sql),
            [.float8((patience * StoreChecks.snapshotPatience).seconds), .int8(Int64(StoreChecks.mostShown))]
        )
        if rows.isEmpty { return [.ok(name, "none that \(server.role) sees")] }
        return try rows.map { row in
            let pid = try row.decode(Int32.self, named: "pid")
            let owner = try row.decode(String.self, named: "owner")
            let application = try row.decode(String.self, named: "application")
            let age = Duration.seconds(try row.decode(Double.self, named: "seconds"))
            let session = application.isEmpty ? "" : " (\(application))"
            return .warning(
                name,
                "process \(pid) of \(owner)\(session) looks at the database as it was \(age.brief) ago: no older version of a "
                    + "row can go, and appends to busy streams get slower",
                "let it finish, or end it: SELECT pg_terminate_backend(\(pid));"
            )
        }
    }

    private func sequence() async throws -> Check {
        let cache = try await client.query(.embedded(PackageResources.doctor_sequence_sql)).single()
            .decode(Int64.self, named: "cache")
        return cache == 1
            ? .ok("positions", "drawn one by one")
            : .failed(
                "positions",
                "sessions hoard \(cache.grouped) of them: subscribers can miss events",
                "ALTER SEQUENCE millrace.events_id_seq CACHE 1;"
            )
    }

    private func months() async throws -> Check {
        let name = "months"
        let rows = try await client.query(
            .embedded(PackageResources.doctor_months_sql),
            [.int4(Int32(StoreChecks.monthsAhead))]
        )
        var missing: [String] = []
        for row in rows where try !row.decode(Bool.self, named: "is_present") {
            missing.append(try row.decode(String.self, named: "month"))
        }
        let remedy = "SELECT * FROM millrace.make_partitions();"
        if missing.isEmpty { return .ok(name, "partitions are there for \(rows.count) months") }
        let current = try rows.first?.decode(String.self, named: "month")
        return missing.first == current
            ? .failed(name, "this month (\(missing[0])) has no partition: its events go into the default one", remedy)
            : .warning(name, "no partition yet for \(missing.joined(separator: ", "))", remedy)
    }

    private func defaultPartition() async throws -> Check {
        let name = "default partition"
        guard let row = try await client.query(.embedded(PackageResources.doctor_default_sql)).first else {
            return .failed(
                name,
                "missing: an append in a month without a partition would fail",
                "SELECT * FROM millrace.make_partitions();"
            )
        }
        let bytes = try row.decode(Int64.self, named: "heap_bytes")
        if bytes == 0 { return .ok(name, "empty") }
        let isReadable = try row.decode(Bool.self, named: "is_readable")
        if isReadable {
            let rows = try await client.query(.embedded(PackageResources.doctor_default_rows_sql))
            if try !rows.single().decode(Bool.self, at: 0) { return .ok(name, "empty") }
        }
        return .warning(
            name,
            "holds events (\(bytes.bytes)) of months that had no partition",
            "they are read like all others; move them into a partition of their own, and keep months made ahead: "
                + "SELECT * FROM millrace.make_partitions();"
        )
    }

    private func guards() async throws -> [Check] {
        let name = "immutability"
        var problems: [Check] = []
        let rows = try await client.query(.embedded(PackageResources.doctor_guards_sql))
        for row in rows {
            let relation = try row.decode(String.self, named: "relation")
            let operations = try row.decode(String.self, named: "operations")
            let enabled = try row.decode(String?.self, named: "enabled")
            if enabled == "A" { continue }
            if let trigger = try row.decode(String?.self, named: "trigger") {
                let state = enabled == "D" ? "is disabled" : "does not fire for everyone"
                problems.append(
                    .failed(
                        name,
                        "\(relation) does not refuse \(operations): its trigger \(trigger) \(state)",
                        "ALTER TABLE \(relation) ENABLE ALWAYS TRIGGER \(trigger);"
                    )
                )
            } else {
                problems.append(
                    .failed(
                        name,
                        "\(relation) does not refuse \(operations): its trigger is missing",
                        relation == "millrace.streams"
                            ? "restore the triggers of millrace.streams from a backup of the schema"
                            : "CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON \(relation) FOR EACH "
                                + "STATEMENT EXECUTE FUNCTION millrace.refuse_change(); "
                                + "ALTER TABLE \(relation) ENABLE ALWAYS TRIGGER events_never_change;"
                    )
                )
            }
        }
        return problems.isEmpty ? [.ok(name, "\(rows.count) guards refuse every change of what is stored")] : problems
    }

    private func publication() async throws -> Check {
        let name = "publication"
        let command =
            "CREATE PUBLICATION event_publication FOR TABLE millrace.events "
            + "WITH (publish = 'insert', publish_via_partition_root = true);"
        guard let row = try await client.query(.embedded(PackageResources.doctor_publication_sql)).first else {
            return .warning(
                name,
                "event_publication is missing: nobody can subscribe to the log by replication",
                command
            )
        }
        let isSound = try row.decode(Bool.self, named: "is_as_made") && row.decode(Bool.self, named: "has_events")
        return isSound
            ? .ok(name, "event_publication carries the log")
            : .warning(
                name,
                "event_publication is not as Millrace made it: inserts of millrace.events, through the root",
                "DROP PUBLICATION event_publication; \(command)"
            )
    }

    private func slots() async throws -> [Check] {
        let name = "replication slots"
        let rows = try await client.query(
            .embedded(PackageResources.doctor_slots_sql),
            [.int8(Int64(StoreChecks.mostShown))]
        )
        var problems: [Check] = []
        var most: Int64 = 0
        for row in rows {
            let slot = try row.decode(String.self, named: "name")
            let status = try row.decode(String.self, named: "wal_status")
            let behind = try row.decode(Int64?.self, named: "bytes_behind") ?? 0
            let isActive = try row.decode(Bool.self, named: "is_active")
            let drop = "SELECT pg_drop_replication_slot(\(slot.quotedLiteral));"
            most = max(most, behind)
            if status == "lost" {
                problems.append(
                    .failed(
                        name,
                        "“\(slot)” has lost the WAL it needs",
                        "drop it and let its reader begin anew: \(drop)"
                    )
                )
            } else if status == "unreserved" || (!isActive && behind > StoreChecks.slotBudget) {
                problems.append(
                    .warning(
                        name,
                        "“\(slot)” keeps \(behind.bytes) of WAL\(isActive ? "" : " and nobody reads it")",
                        "start its reader, or give it up: \(drop)"
                    )
                )
            }
        }
        if !problems.isEmpty { return problems }
        return [.ok(name, rows.isEmpty ? "none" : "\(rows.count), at most \(most.bytes) behind")]
    }
}
