-- The lanes of active SQL handlers that no live worker leases and in which there may be something to do; the one that is furthest behind
-- first, so that none waits for ever behind busier ones.
CREATE OR REPLACE FUNCTION millrace.free_sql_lanes() RETURNS TABLE (handler_id text, lane int)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_last bigint := millrace.last_committed_position();
BEGIN
    RETURN QUERY
    SELECT l.handler_id, l.lane
    FROM millrace.event_handlers AS h
    JOIN millrace.handler_lanes AS l ON l.handler_id = h.handler_id
    WHERE h.kind = 'sql' AND h.state = 'active'
      AND (l.worker_id IS NULL OR l.leased_until < clock_timestamp())
      AND (l.checkpoint < v_last OR EXISTS (
          SELECT FROM millrace.parked_events AS p
          WHERE p.handler_id = l.handler_id AND p.lane = l.lane AND p.next_attempt_at <= clock_timestamp()
      ))
    ORDER BY l.checkpoint, l.handler_id, l.lane;
END
$$;

REVOKE ALL ON FUNCTION millrace.free_sql_lanes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.free_sql_lanes() TO millrace_consumer, millrace_admin;
