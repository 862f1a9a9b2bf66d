-- Whether an event is the next of its stream for a handler, and may be handled now: then its lane, held until the transaction ends, the
-- attempt that it is, and the event as the handler gets it; else a lane of NULL.
--
-- A lane that somebody has locked, or a live lease, is his: not waited for. Of a stream that waits only the head may be handled, when it is
-- due. Of another, what lies behind the checkpoint, and behind what was handled beyond it, and has none before it there.
--
-- The stream alone decides, and no horizon: a stream's positions rise with its versions, and its row is locked from before a position is
-- drawn until the commit. So whoever sees an event sees all that come before it in its stream; none can still appear there. What may still
-- appear before it in the log belongs to other streams, and the checkpoint, which speaks of all streams of the lane, stays behind it until
-- the horizon has passed both (see settle_processed).
CREATE OR REPLACE FUNCTION millrace.claim_event(
    p_handler_id text, p_event millrace.events, OUT lane int, OUT attempt int, OUT discarded text, OUT event millrace.events
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    v_handler  millrace.event_handlers := millrace.find_sql_handler(p_handler_id);
    v_lane     int := millrace.lane_of(p_event.aggregate_type, p_event.aggregate_id, v_handler.lanes);
    v_after    bigint;
    v_head     millrace.parked_events;
    v_previous bigint;
    v_claim    record;
BEGIN
    SELECT l.checkpoint INTO v_after
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id AND l.lane = v_lane AND (l.worker_id IS NULL OR l.leased_until < clock_timestamp())
    FOR UPDATE SKIP LOCKED;
    -- The state again, because this very call may have stopped the handler at an event before.
    IF NOT FOUND OR v_handler.state <> 'active' THEN
        RETURN;
    END IF;

    SELECT p.* INTO v_head
    FROM millrace.parked_events AS p
    WHERE p.handler_id = p_handler_id AND p.aggregate_type = p_event.aggregate_type AND p.aggregate_id = p_event.aggregate_id;
    IF FOUND THEN
        -- Locked against operators, unless one of them is at it.
        SELECT p.* INTO v_head
        FROM millrace.parked_events AS p
        WHERE p.handler_id = p_handler_id AND p.aggregate_type = p_event.aggregate_type AND p.aggregate_id = p_event.aggregate_id
          AND p.position = p_event.id AND p.next_attempt_at <= clock_timestamp()
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            SELECT h.attempt, h.discarded, h.event INTO STRICT v_claim FROM millrace.head_event(v_head) AS h;
            lane := v_lane;
            attempt := v_claim.attempt;
            discarded := v_claim.discarded;
            event := v_claim.event;
        END IF;
        RETURN;
    END IF;

    v_after := greatest(v_after, (
        SELECT a.position FROM millrace.handled_ahead AS a
        WHERE a.handler_id = p_handler_id AND a.aggregate_type = p_event.aggregate_type AND a.aggregate_id = p_event.aggregate_id
    ));
    -- Read no further back than to where it is known, nor than the first one of its types.
    SELECT s.id INTO v_previous
    FROM (
        SELECT e.id, e.event_type
        FROM millrace.events AS e
        WHERE e.aggregate_type = p_event.aggregate_type AND e.aggregate_id = p_event.aggregate_id
          AND e.version < p_event.version AND e.created_at >= millrace.stored_from(v_after)
        ORDER BY e.version DESC
    ) AS s
    WHERE s.id <= v_after OR v_handler.event_types IS NULL OR s.event_type = ANY (v_handler.event_types)
    LIMIT 1;
    IF p_event.id > v_after AND (v_previous > v_after) IS NOT TRUE THEN
        lane := v_lane;
        attempt := 1;
        event := p_event;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.claim_event(text, millrace.events) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.claim_event(text, millrace.events) TO millrace_consumer, millrace_admin;
