import MillracePostgres

@testable import Millrace

/// A sealed ledger that somebody may change who owns the server, and put right again.
struct TamperedLedger {
    let store: EventStore
    let key: LedgerSigningKey
    var dice: Dice
    private(set) var published: [SignedNote] = []

    var client: PostgresClient { store.client }

    /// Stores events in batches of 1,000 and seals after some of them, so that positions have gaps and blocks all sizes.
    init(_ store: EventStore, _ key: LedgerSigningKey, batches: Int, dice: Dice) async throws {
        self.store = store
        self.key = key
        self.dice = dice
        try await store.ledger.declare(["account", "order"])
        for batch in 0..<batches {
            try await append(batch)
            // A position that nobody gets.
            try await client.query("SELECT nextval('millrace.events_id_seq')")
            if self.dice.next() % 3 == 0 || batch == batches - 1 {
                try await store.ledger.seal(with: key)
                if self.dice.next() % 4 == 0 || batch == batches - 1 {
                    published.append(try await store.ledger.checkpoint())
                }
            }
        }
    }

    func append(_ batch: Int) async throws {
        try await client.query(
            """
            SELECT count(*)
            FROM (
                SELECT array_agg(1) AS requests, array_agg('thing.' || n % 4) AS types,
                       array_agg((ARRAY['account', 'note', 'order', 'memo'])[1 + n % 4]) AS aggregate_types,
                       array_agg('s' || (n * 7 + $1) % 97) AS ids,
                       array_agg(CASE WHEN n % 9 = 0 THEN 'null'::jsonb ELSE (ARRAY[
                           jsonb_build_object('n', n, 'text', repeat('ü"\\', n % 30)), '[1, 2.50, null, {"a": []}]', '"text"', '1e3', 'true',
                           jsonb_build_object('deep', jsonb_build_object('er', jsonb_build_array(n, n::text)))
                       ])[1 + n % 6] END) AS data,
                       array_agg(CASE WHEN n % 3 = 0 THEN jsonb_build_object('user', n) END) AS metadata,
                       array_agg(CASE WHEN n % 9 = 0 THEN decode(md5(n::text), 'hex') END) AS payloads,
                       array_agg(CASE WHEN n % 9 = 0 THEN 'x/y' END) AS content_types
                FROM generate_series(1, 1000) AS n
            ) AS g
            CROSS JOIN LATERAL millrace.append_events(
                p_requests => g.requests, p_event_types => g.types, p_aggregate_types => g.aggregate_types, p_aggregate_ids => g.ids,
                p_event_data => g.data, p_metadata => g.metadata, p_payloads => g.payloads, p_content_types => g.content_types
            )
            """,
            [.int4(Int32(batch))]
        )
    }

    /// Takes the triggers away that keep the tables from changes, and keeps copies.
    func open() async throws {
        try await client.script(
            """
            DO $$
            DECLARE
                v_table regclass;
            BEGIN
                FOR v_table IN
                    SELECT c.oid FROM pg_class AS c
                    WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'p')
                      AND (c.relname LIKE 'events%' OR c.relname LIKE 'ledger%' OR c.relname = 'streams')
                LOOP
                    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', v_table);
                END LOOP;
            END
            $$;
            CREATE SCHEMA spare;
            CREATE TABLE spare.events AS TABLE millrace.events;
            CREATE UNIQUE INDEX ON spare.events (id);
            CREATE TABLE spare.streams AS TABLE millrace.streams;
            CREATE UNIQUE INDEX ON spare.streams (aggregate_type, aggregate_id);
            CREATE TABLE spare.ledger_blocks AS TABLE millrace.ledger_blocks;
            CREATE TABLE spare.ledger_leaves AS TABLE millrace.ledger_leaves;
            CREATE TABLE spare.ledger_nodes AS TABLE millrace.ledger_nodes;
            ANALYZE;
            """
        )
    }

    /// Puts everything right again.
    func restore() async throws {
        try await client.script(
            """
            DELETE FROM millrace.events AS e
            WHERE NOT EXISTS (SELECT FROM spare.events AS s WHERE s.id = e.id AND ROW(s.*) IS NOT DISTINCT FROM ROW(e.*));
            INSERT INTO millrace.events SELECT s.* FROM spare.events AS s WHERE NOT EXISTS (SELECT FROM millrace.events AS e WHERE e.id = s.id);
            UPDATE millrace.streams AS s SET version = b.version, head_hash = b.head_hash
            FROM spare.streams AS b
            WHERE b.aggregate_type = s.aggregate_type AND b.aggregate_id = s.aggregate_id
              AND (s.version <> b.version OR s.head_hash IS DISTINCT FROM b.head_hash);
            """
        )
    }

    func restoreLedger() async throws {
        try await client.script(
            """
            TRUNCATE millrace.ledger_blocks, millrace.ledger_leaves, millrace.ledger_nodes;
            INSERT INTO millrace.ledger_blocks TABLE spare.ledger_blocks;
            INSERT INTO millrace.ledger_leaves TABLE spare.ledger_leaves;
            INSERT INTO millrace.ledger_nodes TABLE spare.ledger_nodes;
            """
        )
    }

    func verify(
        since position: Int64? = nil,
        through end: Int64? = nil,
        published: [SignedNote] = [],
        trusting keyring: LedgerKeyring? = nil
    ) async throws -> [LedgerFinding] {
        var verification = LedgerVerification(
            store,
            trusting: try keyring ?? LedgerKeyring([key.verifierKey]),
            published: published,
            since: position.map { .position(Position($0)) }
        )
        verification.through = end.map { Position($0) }
        return try await verification.run().findings.kept
    }

    /// One of the rows that a query gives, by chance.
    mutating func pick(_ sql: PostgresStatement) async throws -> Int64 {
        let rows = Array(try await client.query(sql))
        return try rows[Int.random(in: rows.indices, using: &dice)].decode(Int64.self, at: 0)
    }

    func run(_ sql: PostgresStatement, _ parameters: [PostgresValue]) async throws {
        try await client.query(sql, parameters)
    }
}
