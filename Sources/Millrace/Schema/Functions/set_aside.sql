-- What settle_lane does with streams that wait. A list of objects, each with a stream and a change:
-- wait: "waiting" more of its events were passed by.
-- fail: the event at "position" failed for the "attempts"th time; it becomes the head, or is it already. "wait_ms": when it is tried
--   again; without it, it is parked.
-- free: nothing of the stream waits any more.
--
-- Too many parked streams are an error (MR017), because something is wrong then that more of them will not mend: the handler is to stop.
CREATE OR REPLACE FUNCTION millrace.set_aside(p_handler_id text, p_lane int, p_changes jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_now   timestamptz := clock_timestamp();
    v_limit int;
BEGIN
    DELETE FROM millrace.parked_events AS p
    USING jsonb_to_recordset(p_changes) AS c (change text, aggregate_type text, aggregate_id text)
    WHERE c.change = 'free' AND p.handler_id = p_handler_id AND p.aggregate_type = c.aggregate_type AND p.aggregate_id = c.aggregate_id;

    INSERT INTO millrace.parked_events AS p (
        handler_id, aggregate_type, aggregate_id, lane, position, event_id, event_type, version, status, attempts, error, error_kind,
        first_failed_at, last_failed_at, next_attempt_at, waiting
    )
    SELECT p_handler_id, c.aggregate_type, c.aggregate_id, p_lane, c.position, c.event_id, c.event_type, c.version,
           CASE WHEN c.wait_ms IS NULL THEN 'parked' ELSE 'retrying' END, c.attempts, c.error, c.error_kind, v_now, v_now,
           v_now + make_interval(secs => c.wait_ms / 1000.0), c.waiting
    FROM jsonb_to_recordset(p_changes) AS c (
        change text, aggregate_type text, aggregate_id text, position bigint, event_id uuid, event_type text, version int,
        attempts int, error text, error_kind text, wait_ms bigint, waiting bigint
    )
    WHERE c.change = 'fail'
    ON CONFLICT ON CONSTRAINT parked_events_pkey DO UPDATE
        SET position = excluded.position,
            event_id = excluded.event_id,
            event_type = excluded.event_type,
            version = excluded.version,
            status = excluded.status,
            attempts = excluded.attempts,
            error = excluded.error,
            error_kind = excluded.error_kind,
            first_failed_at = CASE WHEN p.position = excluded.position THEN p.first_failed_at ELSE excluded.first_failed_at END,
            last_failed_at = excluded.last_failed_at,
            next_attempt_at = excluded.next_attempt_at,
            waiting = excluded.waiting,
            discard_reason = NULL,
            edited_data = CASE WHEN p.position = excluded.position THEN p.edited_data END,
            edited_by = CASE WHEN p.position = excluded.position THEN p.edited_by END;

    UPDATE millrace.parked_events AS p
    SET waiting = p.waiting + c.waiting
    FROM jsonb_to_recordset(p_changes) AS c (change text, aggregate_type text, aggregate_id text, waiting bigint)
    WHERE c.change = 'wait' AND p.handler_id = p_handler_id AND p.aggregate_type = c.aggregate_type AND p.aggregate_id = c.aggregate_id;

    IF p_changes @> '[{"change": "fail"}]' THEN
        SELECT h.parked_limit INTO STRICT v_limit FROM millrace.event_handlers AS h WHERE h.handler_id = p_handler_id;
        IF (SELECT count(*) FROM (
                SELECT FROM millrace.parked_events AS p WHERE p.handler_id = p_handler_id LIMIT v_limit + 1
            ) AS n) > v_limit THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR017',
                MESSAGE = format('the handler %L has its limit of %s streams set aside', p_handler_id, v_limit),
                HINT = 'Mend what makes them fail, retry or discard them (millrace parked), then resume the handler.';
        END IF;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.set_aside(text, int, jsonb) FROM PUBLIC;
