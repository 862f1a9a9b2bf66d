-- One stream, in version order or backwards. NULL as p_from_version is its beginning, or backwards its end; p_to_version
-- is the last version wanted, in the direction of reading.
--
-- The stream's own row says which months to open: bounds on created_at prune the others when the statement starts.
-- No horizon: a stream's versions are committed in order, because its row lock is held to the end of each transaction. But
-- nothing beyond the version that the row says: the events are read with a newer snapshot than the row, and of what was
-- stored in between, those events that the row's span of time does not cover would be holes.
CREATE OR REPLACE FUNCTION millrace.read_stream(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_from_version   int     DEFAULT 1,
    p_limit          int     DEFAULT 1000,
    p_backwards      boolean DEFAULT false,
    p_to_version     int     DEFAULT NULL
) RETURNS SETOF millrace.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    v_first   timestamptz;
    v_last    timestamptz;
    v_version int;
    v_lowest  int := coalesce(CASE WHEN p_backwards THEN p_to_version ELSE p_from_version END, 1);
    v_highest int := coalesce(CASE WHEN p_backwards THEN p_from_version ELSE p_to_version END, 2147483647);
BEGIN
    SELECT s.first_event_at, s.last_event_at, s.version INTO v_first, v_last, v_version
    FROM millrace.streams AS s
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;

    IF p_backwards THEN
        RETURN QUERY
        SELECT e.*
        FROM millrace.events AS e
        WHERE e.aggregate_type = p_aggregate_type AND e.aggregate_id = p_aggregate_id
          AND e.version BETWEEN v_lowest AND least(v_highest, v_version)
          AND e.created_at BETWEEN v_first AND v_last
        ORDER BY e.version DESC
        LIMIT greatest(p_limit, 0);
    ELSE
        RETURN QUERY
        SELECT e.*
        FROM millrace.events AS e
        WHERE e.aggregate_type = p_aggregate_type AND e.aggregate_id = p_aggregate_id
          AND e.version BETWEEN v_lowest AND least(v_highest, v_version)
          AND e.created_at BETWEEN v_first AND v_last
        ORDER BY e.version
        LIMIT greatest(p_limit, 0);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.read_stream(text, text, int, int, boolean, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_stream(text, text, int, int, boolean, int)
    TO millrace_consumer, millrace_publisher, millrace_admin;
