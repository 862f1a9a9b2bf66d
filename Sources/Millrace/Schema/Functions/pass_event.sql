-- After an event was handled, or discarded, that the lane's scan does not pass by itself: because it waited, or lies beyond the checkpoint.
-- The caller holds the lane.
--
-- Where its stream waits, the next event in it that the scan has passed becomes the head, due by p_due; where there is none, nothing of it
-- waits any more. Beyond the checkpoint it is noted, for the scan to skip it.
CREATE OR REPLACE FUNCTION millrace.pass_event(p_handler_id text, p_lane int, p_event millrace.events, p_due timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    v_handler    millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_checkpoint bigint;
    v_next       millrace.events;
BEGIN
    SELECT l.checkpoint INTO STRICT v_checkpoint
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id AND l.lane = p_lane;

    IF p_event.id > v_checkpoint THEN
        INSERT INTO millrace.handled_ahead AS a (handler_id, aggregate_type, aggregate_id, lane, position)
        VALUES (p_handler_id, p_event.aggregate_type, p_event.aggregate_id, p_lane, p_event.id)
        ON CONFLICT ON CONSTRAINT handled_ahead_pkey DO UPDATE SET position = greatest(a.position, excluded.position);
    ELSE
        -- Read no further than the checkpoint, nor than the first one of its types.
        SELECT n.id, n.event_id, n.event_type, n.version INTO v_next.id, v_next.event_id, v_next.event_type, v_next.version
        FROM (
            SELECT e.id, e.event_id, e.event_type, e.version
            FROM millrace.events AS e
            WHERE e.aggregate_type = p_event.aggregate_type AND e.aggregate_id = p_event.aggregate_id
              AND e.version > p_event.version AND e.created_at >= millrace.stored_from(p_event.id)
            ORDER BY e.version
        ) AS n
        WHERE n.id > v_checkpoint OR v_handler.event_types IS NULL OR n.event_type = ANY (v_handler.event_types)
        LIMIT 1;
    END IF;

    IF v_next.id <= v_checkpoint THEN
        UPDATE millrace.parked_events AS p
        SET position = v_next.id,
            event_id = v_next.event_id,
            event_type = v_next.event_type,
            version = v_next.version,
            status = 'retrying',
            attempts = 0,
            error = NULL,
            error_kind = NULL,
            next_attempt_at = p_due,
            waiting = greatest(0, p.waiting - 1),
            discard_reason = NULL,
            edited_data = NULL,
            edited_by = NULL
        WHERE p.handler_id = p_handler_id AND p.aggregate_type = p_event.aggregate_type AND p.aggregate_id = p_event.aggregate_id;
    ELSE
        DELETE FROM millrace.parked_events AS p
        WHERE p.handler_id = p_handler_id AND p.aggregate_type = p_event.aggregate_type AND p.aggregate_id = p_event.aggregate_id;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.pass_event(text, int, millrace.events, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.pass_event(text, int, millrace.events, timestamptz) TO millrace_consumer, millrace_admin;
