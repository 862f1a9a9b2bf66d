-- chain_event for those events of a batch that are of ledgered types and have a position. The caller has drawn positions and ids, and has locked the streams;
-- it stores exactly what was given here, or raises. The answers are in the order of the events, NULL where one is not chained.
--
-- One statement for what is hashed, one loop that hashes, stream by stream: a window function that does both measured twice as much. The streams'
-- rows are changed the way an append changes them, because that is a look into their index whatever the planner thinks of the table.
CREATE OR REPLACE FUNCTION millrace.chain_events(
    p_positions bigint[], p_event_ids uuid[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_versions int[],
    p_event_data jsonb[], p_metadata jsonb[], p_occurred_at timestamptz[], p_times timestamptz[], p_stored_at timestamptz,
    p_payloads bytea[], p_content_types text[],
    OUT previous_hashes bytea[], OUT current_hashes bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_types  text[] := (SELECT s.ledgered_types FROM millrace.store AS s);
    v_forms  bytea[];
    v_stream record;
    v_index  int;
    v_hash   bytea;
    v_lasts  int[] := '{}';
BEGIN
    SELECT array_agg(CASE WHEN n.aggregate_type = ANY (v_types) THEN millrace.canonical_form(
        n.position, n.event_id, n.event_type, n.aggregate_type, n.aggregate_id, n.version, n.event_data, n.metadata,
        n.occurred_at, n.stored_at, n.payload, n.content_type
    ) END)
    INTO v_forms
    FROM (
        -- With OFFSET, because the text of the JSON is used twice.
        SELECT u.position, u.event_id, u.event_type, u.aggregate_type, u.aggregate_id, u.version,
               coalesce(u.event_data, 'null')::text AS event_data, u.metadata::text AS metadata,
               coalesce(u.occurred_at, u.stored_at, p_stored_at) AS occurred_at, coalesce(u.stored_at, p_stored_at) AS stored_at,
               u.payload, u.content_type
        FROM unnest(p_positions, p_event_ids, p_event_types, p_aggregate_types, p_aggregate_ids, p_versions, p_event_data,
                    p_metadata, p_occurred_at, p_times, p_payloads, p_content_types)
            AS u (position, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata,
                  occurred_at, stored_at, payload, content_type)
        OFFSET 0
    ) AS n;
    previous_hashes := array_fill(NULL::bytea, ARRAY[cardinality(v_forms)]);
    current_hashes := previous_hashes;

    FOR v_stream IN
        SELECT g.indexes, s.head_hash
        FROM (
            SELECT n.aggregate_type, n.aggregate_id, array_agg(n.index::int) AS indexes
            FROM unnest(p_aggregate_types, p_aggregate_ids, p_positions)
                WITH ORDINALITY AS n (aggregate_type, aggregate_id, position, index)
            WHERE n.aggregate_type = ANY (v_types) AND n.position IS NOT NULL
            GROUP BY n.aggregate_type, n.aggregate_id
        ) AS g
        CROSS JOIN LATERAL (
            SELECT t.head_hash FROM millrace.streams AS t
            WHERE t.aggregate_type = g.aggregate_type AND t.aggregate_id = g.aggregate_id
            LIMIT 1
        ) AS s
    LOOP
        v_hash := coalesce(v_stream.head_hash, decode(repeat('00', 32), 'hex'));
        FOREACH v_index IN ARRAY v_stream.indexes LOOP
            previous_hashes[v_index] := v_hash;
            v_hash := sha256(v_hash || v_forms[v_index]);
            current_hashes[v_index] := v_hash;
        END LOOP;
        v_lasts := v_lasts || v_index;
    END LOOP;

    INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, head_hash)
    SELECT n.aggregate_type, n.aggregate_id, n.version, n.hash
    FROM unnest(p_aggregate_types, p_aggregate_ids, p_versions, current_hashes)
        WITH ORDINALITY AS n (aggregate_type, aggregate_id, version, hash, index)
    JOIN unnest(v_lasts) AS l (index) ON l.index = n.index
    ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE SET head_hash = excluded.head_hash;
END
$$;

REVOKE ALL ON FUNCTION millrace.chain_events(
    bigint[], uuid[], text[], text[], text[], int[], jsonb[], jsonb[], timestamptz[], timestamptz[], timestamptz, bytea[], text[]
) FROM PUBLIC;
