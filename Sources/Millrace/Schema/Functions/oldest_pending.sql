-- When the oldest of a handler's events was stored that lie behind its lanes' checkpoints, up to a horizon; NULL where there is none. Where
-- the 10,000 events behind the slowest checkpoint have none, when the last of those was stored: it is no older.
CREATE OR REPLACE FUNCTION millrace.oldest_pending(p_handler_id text, p_horizon bigint) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    c_looked  CONSTANT int := 10000;
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_first   bigint;
    v_since   timestamptz;
    v_looked  int := 0;
    v_event   record;
BEGIN
    SELECT min(l.checkpoint) INTO v_first FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id;
    v_since := millrace.stored_from(v_first);
    -- Row by row, because the first is the one nearly always.
    FOR v_event IN
        SELECT e.id, e.event_type, e.aggregate_type, e.aggregate_id, e.created_at
        FROM millrace.events AS e
        WHERE e.id > v_first AND e.id <= p_horizon AND e.created_at >= v_since
        ORDER BY e.id
        LIMIT c_looked
    LOOP
        v_looked := v_looked + 1;
        IF (v_handler.event_types IS NULL OR v_event.event_type = ANY (v_handler.event_types))
           AND (v_handler.aggregate_types IS NULL OR v_event.aggregate_type = ANY (v_handler.aggregate_types))
           AND EXISTS (
               SELECT FROM millrace.handler_lanes AS l
               WHERE l.handler_id = p_handler_id AND l.checkpoint < v_event.id
                 AND l.lane = millrace.lane_of(v_event.aggregate_type, v_event.aggregate_id, v_handler.lanes)
           ) THEN
            RETURN v_event.created_at;
        END IF;
    END LOOP;
    RETURN CASE WHEN v_looked = c_looked THEN v_event.created_at END;
END
$$;

REVOKE ALL ON FUNCTION millrace.oldest_pending(text, bigint) FROM PUBLIC;
