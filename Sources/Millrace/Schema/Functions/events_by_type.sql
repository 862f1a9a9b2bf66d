-- How many events of each type, in each type of aggregate, the log holds at or below a position: what was counted before, and the few since then. A position below
-- what was counted has all events up to it read.
CREATE OR REPLACE FUNCTION millrace.events_by_type(p_up_to bigint) RETURNS TABLE (event_type text, aggregate_type text, events bigint)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- One snapshot for both, or what is counted in between would be counted twice.
    v_counted_to bigint;
    v_counts     jsonb;
BEGIN
    SELECT c.counted_to, (SELECT jsonb_agg(to_jsonb(t)) FROM millrace.event_counts AS t)
    INTO STRICT v_counted_to, v_counts
    FROM millrace.event_counts_end AS c;
    IF v_counted_to > p_up_to THEN
        v_counted_to := 0;
        v_counts := NULL;
    END IF;

    RETURN QUERY
    SELECT t.event_type, t.aggregate_type, sum(t.events)::bigint
    FROM (
        SELECT c.event_type, c.aggregate_type, c.events
        FROM jsonb_to_recordset(v_counts) AS c (event_type text, aggregate_type text, events bigint)
        UNION ALL
        SELECT e.event_type, e.aggregate_type, count(*)
        FROM millrace.events AS e
        WHERE e.id > v_counted_to AND e.id <= p_up_to
          AND (v_counted_to = 0 OR e.created_at >= millrace.stored_from(v_counted_to))
        GROUP BY e.event_type, e.aggregate_type
    ) AS t
    GROUP BY t.event_type, t.aggregate_type;
END
$$;

REVOKE ALL ON FUNCTION millrace.events_by_type(bigint) FROM PUBLIC;
