-- Where the log ends now: the position of the last committed event at or below the horizon, 0 before the first. A position
-- that may be kept, for a reader that wants only what comes from now on; latest_position and horizon are none.
CREATE OR REPLACE FUNCTION millrace.last_committed_position() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    v_horizon bigint;
    v_last    bigint;
BEGIN
    PERFORM millrace.check_isolation();
    v_horizon := millrace.horizon();

    -- In the open months only: what the closed ones hold is written down.
    SELECT e.id INTO v_last
    FROM millrace.events AS e
    WHERE e.id <= v_horizon
      AND e.created_at >= coalesce((SELECT max(m.upper_bound) FROM millrace.closed_months AS m), '-infinity')
    ORDER BY e.id DESC
    LIMIT 1;
    RETURN greatest(v_last, (SELECT max(m.last_position) FROM millrace.closed_months AS m), 0);
END
$$;

REVOKE ALL ON FUNCTION millrace.last_committed_position() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.last_committed_position() TO millrace_consumer, millrace_admin;
