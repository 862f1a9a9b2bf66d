-- How many of a handler's events lie between a position and its lanes' checkpoints: before the checkpoint, so that they would be handled
-- again from the position on, or behind it, so that they would be left out. At most p_limit events of the log are looked at.
CREATE OR REPLACE FUNCTION millrace.events_between(p_handler_id text, p_position bigint, p_limit int)
RETURNS TABLE (again bigint, left_out bigint, is_exact boolean)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_first   bigint;
    v_last    bigint;
    v_since   timestamptz;
BEGIN
    SELECT least(min(l.checkpoint), p_position), greatest(max(l.checkpoint), p_position) INTO v_first, v_last
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id;
    v_since := millrace.stored_from(v_first);

    RETURN QUERY
    WITH looked AS MATERIALIZED (
        SELECT e.id, e.event_type, e.aggregate_type, e.aggregate_id
        FROM millrace.events AS e
        WHERE e.id > v_first AND e.id <= v_last AND e.created_at >= v_since
        ORDER BY e.id
        LIMIT p_limit + 1
    ), mine AS MATERIALIZED (
        SELECT n.id, millrace.lane_of(n.aggregate_type, n.aggregate_id, v_handler.lanes) AS lane
        FROM looked AS n
        WHERE (v_handler.event_types IS NULL OR n.event_type = ANY (v_handler.event_types))
          AND (v_handler.aggregate_types IS NULL OR n.aggregate_type = ANY (v_handler.aggregate_types))
    )
    SELECT count(*) FILTER (WHERE n.id <= l.checkpoint AND n.id > p_position),
           count(*) FILTER (WHERE n.id > l.checkpoint AND n.id <= p_position),
           (SELECT count(*) FROM looked) <= p_limit
    FROM mine AS n
    JOIN millrace.handler_lanes AS l ON l.handler_id = p_handler_id AND l.lane = n.lane;
END
$$;

REVOKE ALL ON FUNCTION millrace.events_between(text, bigint, int) FROM PUBLIC;
