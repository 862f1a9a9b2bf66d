-- chain_event for those events of a batch that are of ledgered types and have a position. The caller has drawn positions and ids, and has locked the streams;
-- it stores exactly what was given here, or raises. The answers are in the order of the events, NULL where one is not chained.
--
-- The streams' rows are changed the way an append changes them, because that is a look into their index whatever the planner thinks of the table.
CREATE OR REPLACE FUNCTION millrace.chain_events(
    p_positions bigint[], p_event_ids uuid[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_versions int[],
    p_event_data jsonb[], p_metadata jsonb[], p_occurred_at timestamptz[], p_times timestamptz[], p_stored_at timestamptz,
    p_payloads bytea[], p_content_types text[],
    OUT previous_hashes bytea[], OUT current_hashes bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_types text[] := (SELECT s.ledgered_types FROM millrace.store AS s);
BEGIN
    WITH given AS MATERIALIZED (
        SELECT n.index, n.position, n.event_id, n.event_type, n.aggregate_type, n.aggregate_id, n.version,
               coalesce(n.event_data, 'null')::text AS event_data, n.metadata::text AS metadata,
               coalesce(n.occurred_at, n.stored_at, p_stored_at) AS occurred_at, coalesce(n.stored_at, p_stored_at) AS stored_at,
               n.payload, n.content_type
        FROM unnest(p_positions, p_event_ids, p_event_types, p_aggregate_types, p_aggregate_ids, p_versions, p_event_data,
                    p_metadata, p_occurred_at, p_times, p_payloads, p_content_types)
            WITH ORDINALITY AS n (position, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata,
                                  occurred_at, stored_at, payload, content_type, index)
        WHERE n.aggregate_type = ANY (v_types) AND n.position IS NOT NULL
    ), heads AS MATERIALIZED (
        SELECT g.aggregate_type, g.aggregate_id, coalesce(s.head_hash, decode(repeat('00', 32), 'hex')) AS head
        FROM (SELECT n.aggregate_type, n.aggregate_id FROM given AS n GROUP BY n.aggregate_type, n.aggregate_id) AS g
        CROSS JOIN LATERAL (
            SELECT t.head_hash FROM millrace.streams AS t
            WHERE t.aggregate_type = g.aggregate_type AND t.aggregate_id = g.aggregate_id
            LIMIT 1
        ) AS s
    ), hashed AS (
        SELECT n.index, n.aggregate_type, n.aggregate_id, n.version, h.head,
               millrace.chain_hash(h.head, millrace.canonical_form(
                   n.position, n.event_id, n.event_type, n.aggregate_type, n.aggregate_id, n.version, n.event_data, n.metadata,
                   n.occurred_at, n.stored_at, n.payload, n.content_type
               )) OVER stream AS hash
        FROM given AS n
        JOIN heads AS h ON h.aggregate_type = n.aggregate_type AND h.aggregate_id = n.aggregate_id
        WINDOW stream AS (
            PARTITION BY n.aggregate_type, n.aggregate_id ORDER BY n.version ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    ), linked AS MATERIALIZED (
        SELECT h.index, h.aggregate_type, h.aggregate_id, h.version, h.hash,
               coalesce(lag(h.hash) OVER stream, h.head) AS previous_hash, lead(h.version) OVER stream IS NULL AS is_last
        FROM hashed AS h
        WINDOW stream AS (PARTITION BY h.aggregate_type, h.aggregate_id ORDER BY h.version)
    ), kept AS (
        INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, head_hash)
        SELECT l.aggregate_type, l.aggregate_id, l.version, l.hash
        FROM linked AS l
        WHERE l.is_last
        ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE SET head_hash = excluded.head_hash
    )
    SELECT array_agg(l.previous_hash ORDER BY n.index), array_agg(l.hash ORDER BY n.index)
    INTO previous_hashes, current_hashes
    FROM generate_series(1, cardinality(p_positions)) AS n (index)
    LEFT JOIN linked AS l ON l.index = n.index;
END
$$;

REVOKE ALL ON FUNCTION millrace.chain_events(
    bigint[], uuid[], text[], text[], text[], int[], jsonb[], jsonb[], timestamptz[], timestamptz[], timestamptz, bytea[], text[]
) FROM PUBLIC;
