-- As find_parked, and nothing becomes of these streams until the transaction ends: their lanes are locked, one after the other in one
-- order, as whoever settles a lane does before he touches what waits in it. So an operator and a worker cannot wait for each other.
--
-- Where p_recall, work on events that may be in somebody's hands at this moment is called off: their lanes get a new token, so it cannot be
-- committed any more, and are free to be leased anew.
CREATE OR REPLACE FUNCTION millrace.hold_parked(
    p_handler_id     text,
    p_aggregate_type text,
    p_aggregate_id   text,
    p_event_id       uuid,
    p_event_type     text,
    p_error          text,
    p_status         text,
    p_statuses       text[],
    p_limit          int,
    p_recall         text[]
) RETURNS SETOF millrace.parked_events
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_handlers text[];
    v_lanes    int[];
    v_streams  millrace.parked_events[];
BEGIN
    SELECT array_agg(f.handler_id), array_agg(f.lane) INTO v_handlers, v_lanes
    FROM (
        SELECT DISTINCT p.handler_id, p.lane
        FROM millrace.find_parked(
            p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status, p_statuses, p_limit
        ) AS p
    ) AS f;
    PERFORM FROM millrace.handler_lanes AS l
    JOIN unnest(v_handlers, v_lanes) AS n (handler_id, lane) ON n.handler_id = l.handler_id AND n.lane = l.lane
    ORDER BY l.handler_id, l.lane
    FOR NO KEY UPDATE OF l;

    -- Again, as they are now that nobody changes them.
    SELECT array_agg(p) INTO v_streams
    FROM millrace.find_parked(
        p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status, p_statuses, p_limit
    ) AS p
    JOIN unnest(v_handlers, v_lanes) AS n (handler_id, lane) ON n.handler_id = p.handler_id AND n.lane = p.lane;

    UPDATE millrace.handler_lanes AS l
    SET token = l.token + 1, worker_id = NULL, leased_until = NULL
    FROM (
        SELECT DISTINCT s.handler_id, s.lane
        FROM unnest(v_streams) AS s
        WHERE s.status = ANY (p_recall) AND s.next_attempt_at <= clock_timestamp()
    ) AS r
    WHERE l.handler_id = r.handler_id AND l.lane = r.lane;

    RETURN QUERY SELECT s.* FROM unnest(v_streams) AS s;
END
$$;

REVOKE ALL ON FUNCTION millrace.hold_parked(text, text, text, uuid, text, text, text, text[], int, text[]) FROM PUBLIC;
