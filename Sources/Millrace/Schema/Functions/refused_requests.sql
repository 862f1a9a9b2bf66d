-- The requests that are not to be stored: because they are stored already (duplicate), because some of their event ids are
-- taken but they are not that same request (partly_repeated), or because an expectation fails (conflict, with all of them).
CREATE OR REPLACE FUNCTION millrace.refused_requests(
    p_requests int[], p_aggregate_types text[], p_aggregate_ids text[], p_event_ids uuid[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS TABLE (request int, outcome text, conflicts jsonb)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_known   uuid[];
    v_repeats int[] := '{}';
BEGIN
    IF p_event_ids IS NOT NULL THEN
        SELECT array_agg(e.event_id) INTO v_known FROM millrace.find_events(p_event_ids) AS e;
    END IF;

    IF v_known IS NOT NULL OR (
        SELECT count(n.event_id) > count(DISTINCT n.event_id) FROM unnest(p_event_ids) AS n (event_id)
    ) THEN
        SELECT array_agg(n.request) INTO v_repeats
        FROM millrace.repeated_requests(p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids) AS n;

        RETURN QUERY
        SELECT n.request, n.outcome, NULL::jsonb
        FROM millrace.repeated_requests(p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids) AS n;
    END IF;

    IF p_expect_requests IS NOT NULL THEN
        RETURN QUERY
        SELECT x.request, 'conflict', jsonb_agg(jsonb_build_object(
            'aggregate_type', x.aggregate_type,
            'aggregate_id', x.aggregate_id,
            'expected', x.version,
            'actual', s.version
        ) ORDER BY x.index)
        FROM unnest(p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions)
            WITH ORDINALITY AS x (request, aggregate_type, aggregate_id, version, index)
        CROSS JOIN LATERAL (
            SELECT t.version FROM millrace.streams AS t
            WHERE t.aggregate_type = x.aggregate_type AND t.aggregate_id = x.aggregate_id
            LIMIT 1
        ) AS s
        WHERE x.request <> ALL (v_repeats)
          AND NOT CASE x.version WHEN -1 THEN s.version > 0 ELSE s.version = x.version END
        GROUP BY x.request;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.refused_requests(int[], text[], text[], uuid[], int[], text[], text[], int[]) FROM PUBLIC;
