import Millrace
import MillracePostgres
import Testing

@Suite(.timeLimit(.minutes(15)))
struct MaintenanceTests {
    private static let months = """
        SELECT count(*) FROM pg_inherits WHERE inhparent = 'millrace.events'::regclass
        """

    private func count(_ sql: String, _ store: EventStore) async throws -> Int64 {
        try await store.client.query(PostgresStatement(sql)).single().decode(Int64.self, at: 0)
    }

    @Test func makesTheMonthsAheadAgain() async throws {
        try await withStore { store in
            let before = try await count(Self.months, store)
            let next = try await store.client.query(
                "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 month', '\"millrace.events_\"YYYY_MM')"
            ).single().decode(String.self, at: 0)
            try await store.client.script("ALTER TABLE millrace.events DETACH PARTITION \(next)")
            try await store.client.script("DROP TABLE \(next)")
            #expect(try await count(Self.months, store) == before - 1)
            try await StorageMaintenance(store).maintain()
            #expect(try await count(Self.months, store) == before)
        }
    }

    @Test func trimsTheAuditByAgeAndByNothingElse() async throws {
        try await withStore { store in
            try await store.client.script(
                """
                INSERT INTO millrace.event_audit (processed_at, handler_id, position, event_id, event_type, lane, attempt, status, worker, duration)
                SELECT now() - make_interval(days => n % 200), 'h', n, uuidv7(), 't', 0, 1, 'success', 'w', '1 ms'
                FROM generate_series(1, 25000) AS n
                """
            )
            let young = try await count(
                "SELECT count(*) FROM millrace.event_audit WHERE processed_at > now() - interval '90 days'",
                store
            )
            try await StorageMaintenance(store).maintain()
            #expect(try await count("SELECT count(*) FROM millrace.event_audit", store) == young)
            try await store.client.script("UPDATE millrace.store SET audit_kept = '10 days'")
            try await StorageMaintenance(store).maintain()
            #expect(
                try await count(
                    "SELECT count(*) FROM millrace.event_audit WHERE processed_at < now() - interval '10 days'",
                    store
                ) == 0
            )
        }
    }
}
