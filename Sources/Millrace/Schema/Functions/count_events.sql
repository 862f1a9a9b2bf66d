-- Counts what the log has grown by since the last time, at most p_limit positions of it, and answers how many positions are left.
-- Called at every beat by whoever works; one at a time, the others answer NULL at once.
CREATE OR REPLACE FUNCTION millrace.count_events(p_limit bigint DEFAULT 200000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_counted_to bigint;
    v_horizon    bigint;
    v_up_to      bigint;
    v_since      timestamptz;
BEGIN
    PERFORM millrace.check_isolation();
    SELECT c.counted_to INTO v_counted_to FROM millrace.event_counts_end AS c FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_horizon := millrace.horizon();
    -- Once: a STABLE function in a filter is called for every row.
    v_since := millrace.stored_from(v_counted_to);

    WITH new AS MATERIALIZED (
        SELECT e.event_type, e.aggregate_type, e.id
        FROM millrace.events AS e
        WHERE e.id > v_counted_to AND e.id <= least(v_horizon, v_counted_to + greatest(p_limit, 1))
          AND e.created_at >= v_since
    ), counted AS (
        INSERT INTO millrace.event_counts AS c (event_type, aggregate_type, events)
        SELECT n.event_type, n.aggregate_type, count(*) FROM new AS n GROUP BY n.event_type, n.aggregate_type
        ON CONFLICT ON CONSTRAINT event_counts_pkey DO UPDATE SET events = c.events + excluded.events
    )
    SELECT max(n.id) INTO v_up_to FROM new AS n;

    -- The end is the position of an event; where a stretch of the sequence has none, it is looked beyond.
    IF v_up_to IS NULL AND v_counted_to + greatest(p_limit, 1) < v_horizon THEN
        SELECT e.id - 1 INTO v_up_to
        FROM millrace.events AS e
        WHERE e.id > v_counted_to AND e.id <= v_horizon AND e.created_at >= v_since
        ORDER BY e.id
        LIMIT 1;
    END IF;
    IF v_up_to IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE millrace.event_counts_end AS c SET counted_to = v_up_to;
    RETURN v_horizon - v_up_to;
END
$$;

REVOKE ALL ON FUNCTION millrace.count_events(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.count_events(bigint) TO millrace_consumer, millrace_admin;
