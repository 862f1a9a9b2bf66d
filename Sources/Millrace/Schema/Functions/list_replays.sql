-- The replays that were asked for, the newest first: a range of the log, both ends included, that a handler handles once more. lanes_done:
-- those that have come to its end; checkpoint: where the slowest is.
CREATE OR REPLACE FUNCTION millrace.list_replays(p_handler_id text DEFAULT NULL, p_limit int DEFAULT 100)
RETURNS TABLE (
    replay_id bigint, handler_id text, first_position bigint, last_position bigint, state text, requested_by text, requested_at timestamptz,
    cancelled_by text, cancelled_at timestamptz, lanes int, lanes_done int, checkpoint bigint, processed bigint, failed bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF p_handler_id IS NOT NULL THEN
        PERFORM millrace.find_handler(p_handler_id);
    END IF;
    IF p_limit < 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_limit is %s', p_limit),
            HINT = 'Give how many are wanted at the most, or NULL for all.';
    END IF;
    RETURN QUERY
    SELECT r.replay_id, r.handler_id, r.first_position, r.last_position,
           CASE WHEN r.cancelled_at IS NOT NULL THEN 'cancelled' WHEN l.done = l.lanes THEN 'finished' ELSE 'open' END,
           r.requested_by, r.requested_at, r.cancelled_by, r.cancelled_at, l.lanes, l.done, l.checkpoint, l.processed, l.failed
    FROM millrace.handler_replays AS r
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS lanes, (count(*) FILTER (WHERE n.checkpoint >= r.last_position))::int AS done,
               min(n.checkpoint) AS checkpoint, sum(n.processed)::bigint AS processed, sum(n.failed)::bigint AS failed
        FROM millrace.handler_replay_lanes AS n
        WHERE n.replay_id = r.replay_id
    ) AS l
    WHERE p_handler_id IS NULL OR r.handler_id = p_handler_id
    ORDER BY r.replay_id DESC
    LIMIT p_limit;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_replays(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_replays(text, int) TO millrace_consumer, millrace_admin;
