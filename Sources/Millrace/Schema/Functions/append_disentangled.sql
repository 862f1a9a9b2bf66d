-- Decides and stores requests that do not depend on each other, set by set. Their streams are locked already. The steps,
-- each a statement of its own so that it sees what was committed while the locks were waited for:
-- what is stored already, whose expectations fail, the fence, versions and positions, the events, the streams.
--
-- A repeated request is recognised before its expectations are looked at: they were true when it was stored.
CREATE OR REPLACE FUNCTION millrace.append_disentangled(
    p_requests int[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_event_data jsonb[],
    p_metadata jsonb[], p_event_ids uuid[], p_occurred_at timestamptz[], p_payloads bytea[], p_content_types text[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS TABLE (request int, outcome text, positions bigint[], versions int[], event_ids uuid[], conflicts jsonb)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- By request: those that are not stored, and why.
    v_refused   int[] := '{}';
    v_outcomes  text[];
    v_conflicts jsonb[];
    -- By event: where it is stored, now or since an earlier call. NULL for the events of other refused requests.
    v_positions bigint[];
    v_versions  int[];
    v_event_ids uuid[];
    v_stored_at timestamptz;
    v_chains    boolean;
    v_previous  bytea[];
    v_current   bytea[];
BEGIN
    IF p_event_ids IS NOT NULL OR p_expect_requests IS NOT NULL THEN
        SELECT coalesce(array_agg(r.request), '{}'), array_agg(r.outcome), array_agg(r.conflicts)
        INTO v_refused, v_outcomes, v_conflicts
        FROM millrace.refused_requests(
            p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids,
            p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
        ) AS r;
    END IF;

    PERFORM millrace.fence();
    SELECT greatest(clock_timestamp(), s.open_since), s.ledgered_types && p_aggregate_types INTO STRICT v_stored_at, v_chains
    FROM millrace.store AS s;

    -- The positions are drawn above the sorted subquery, hence in the order of the events.
    SELECT array_agg(drawn.position), array_agg(drawn.version), array_agg(drawn.event_id)
    INTO v_positions, v_versions, v_event_ids
    FROM (
        SELECT CASE WHEN numbered.accepted THEN nextval('millrace.events_id_seq') END AS position,
               CASE WHEN numbered.accepted THEN numbered.version END AS version,
               numbered.event_id
        FROM (
            SELECT n.index,
                   n.request <> ALL (v_refused) AS accepted,
                   coalesce(n.event_id, uuidv7()) AS event_id,
                   (s.version + row_number() OVER (
                       PARTITION BY n.request <> ALL (v_refused), n.aggregate_type, n.aggregate_id ORDER BY n.index
                   ))::int AS version
            FROM unnest(p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids)
                WITH ORDINALITY AS n (request, aggregate_type, aggregate_id, event_id, index)
            CROSS JOIN LATERAL (
                SELECT t.version FROM millrace.streams AS t
                WHERE t.aggregate_type = n.aggregate_type AND t.aggregate_id = n.aggregate_id
                LIMIT 1
            ) AS s
            ORDER BY n.index
        ) AS numbered
    ) AS drawn;

    IF v_chains THEN
        SELECT c.previous_hashes, c.current_hashes INTO v_previous, v_current
        FROM millrace.chain_events(
            v_positions, v_event_ids, p_event_types, p_aggregate_types, p_aggregate_ids, v_versions, p_event_data, p_metadata,
            p_occurred_at, NULL, v_stored_at, p_payloads, p_content_types
        ) AS c;
    END IF;

    INSERT INTO millrace.events (
        id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at,
        payload, content_type, previous_hash, current_hash
    )
    SELECT n.position, n.event_id, n.event_type, n.aggregate_type, n.aggregate_id, n.version,
           coalesce(n.event_data, 'null'), n.metadata, coalesce(n.occurred_at, v_stored_at), v_stored_at,
           n.payload, n.content_type, n.previous_hash, n.current_hash
    FROM unnest(v_positions, v_event_ids, p_event_types, p_aggregate_types, p_aggregate_ids, v_versions, p_event_data,
                p_metadata, p_occurred_at, p_payloads, p_content_types, v_previous, v_current)
        AS n (position, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at,
              payload, content_type, previous_hash, current_hash)
    WHERE n.position IS NOT NULL;

    INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
    SELECT n.aggregate_type, n.aggregate_id, max(n.version), v_stored_at, v_stored_at
    FROM unnest(p_aggregate_types, p_aggregate_ids, v_versions) AS n (aggregate_type, aggregate_id, version)
    WHERE n.version IS NOT NULL
    GROUP BY n.aggregate_type, n.aggregate_id
    ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE
        SET version = excluded.version,
            first_event_at = least(s.first_event_at, excluded.first_event_at),
            last_event_at = greatest(s.last_event_at, excluded.last_event_at);

    IF 'duplicate' = ANY (v_outcomes) THEN
        SELECT array_agg(coalesce(n.position, e.id) ORDER BY n.index),
               array_agg(coalesce(n.version, e.version) ORDER BY n.index)
        INTO v_positions, v_versions
        FROM unnest(p_event_ids, p_aggregate_types, p_aggregate_ids, v_positions, v_versions)
            WITH ORDINALITY AS n (event_id, aggregate_type, aggregate_id, position, version, index)
        LEFT JOIN millrace.find_events(p_event_ids) AS e
            ON n.position IS NULL AND e.event_id = n.event_id
            AND e.aggregate_type = n.aggregate_type AND e.aggregate_id = n.aggregate_id;
    END IF;

    RETURN QUERY
    SELECT n.request,
           coalesce(r.outcome, 'appended'),
           CASE WHEN coalesce(r.outcome, 'duplicate') = 'duplicate' THEN array_agg(n.position ORDER BY n.index) END,
           CASE WHEN coalesce(r.outcome, 'duplicate') = 'duplicate' THEN array_agg(n.version ORDER BY n.index) END,
           CASE WHEN coalesce(r.outcome, 'duplicate') = 'duplicate' THEN array_agg(n.event_id ORDER BY n.index) END,
           r.conflicts
    FROM unnest(p_requests, v_positions, v_versions, v_event_ids)
        WITH ORDINALITY AS n (request, position, version, event_id, index)
    LEFT JOIN unnest(v_refused, v_outcomes, v_conflicts) AS r (request, outcome, conflicts) ON r.request = n.request
    GROUP BY n.request, r.outcome, r.conflicts
    ORDER BY min(n.index);
END
$$;

REVOKE ALL ON FUNCTION millrace.append_disentangled(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
