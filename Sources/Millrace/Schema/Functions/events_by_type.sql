-- How many events of each type, in each type of aggregate, the log holds at or below a position: what was counted before, and the few
-- since then. For a position below what was counted either the events up to it are read or those behind it, whichever are fewer.
CREATE OR REPLACE FUNCTION millrace.events_by_type(p_up_to bigint) RETURNS TABLE (event_type text, aggregate_type text, events bigint)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- One snapshot for both, or what is counted in between would be counted twice.
    v_counted_to bigint;
    v_counts     jsonb;
    v_from       bigint;
    v_since      timestamptz;
BEGIN
    SELECT c.counted_to, (SELECT jsonb_agg(to_jsonb(t)) FROM millrace.event_counts AS t)
    INTO STRICT v_counted_to, v_counts
    FROM millrace.event_counts_end AS c;
    IF p_up_to < v_counted_to / 2 THEN
        v_counted_to := 0;
        v_counts := NULL;
    END IF;
    v_from := least(p_up_to, v_counted_to);
    -- Once: a STABLE function in a filter is called for every row.
    v_since := millrace.stored_from(v_from);

    RETURN QUERY
    SELECT t.event_type, t.aggregate_type, sum(t.events)::bigint
    FROM (
        SELECT c.event_type, c.aggregate_type, c.events
        FROM jsonb_to_recordset(v_counts) AS c (event_type text, aggregate_type text, events bigint)
        UNION ALL
        SELECT e.event_type, e.aggregate_type, CASE WHEN p_up_to < v_counted_to THEN -count(*) ELSE count(*) END
        FROM millrace.events AS e
        WHERE e.id > v_from AND e.id <= greatest(p_up_to, v_counted_to)
          AND (v_from = 0 OR e.created_at >= v_since)
        GROUP BY e.event_type, e.aggregate_type
    ) AS t
    GROUP BY t.event_type, t.aggregate_type
    HAVING sum(t.events) > 0;
END
$$;

REVOKE ALL ON FUNCTION millrace.events_by_type(bigint) FROM PUBLIC;
