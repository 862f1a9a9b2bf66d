-- Has the heads of streams that wait passed over, for a reason that is kept: in handler_actions from now on, and with the event's other
-- attempts in event_audit once the lane's worker has passed it over, if the handler is audited. What waits behind each is handled then.
-- The events themselves stay in the log. Answers the streams as they are then; with p_dry_run those that are meant, and nothing happens.
-- See find_parked for the filter.
CREATE OR REPLACE FUNCTION millrace.discard_parked(
    p_reason         text,
    p_handler_id     text    DEFAULT NULL,
    p_aggregate_type text    DEFAULT NULL,
    p_aggregate_id   text    DEFAULT NULL,
    p_event_id       uuid    DEFAULT NULL,
    p_event_type     text    DEFAULT NULL,
    p_error          text    DEFAULT NULL,
    p_status         text    DEFAULT NULL,
    p_dry_run        boolean DEFAULT false,
    p_limit          int     DEFAULT 10000
) RETURNS SETOF millrace.parked_events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_now      timestamptz := clock_timestamp();
    v_statuses text[] := ARRAY['retrying', 'parked'];
    v_held     millrace.parked_events[];
BEGIN
    IF (btrim(p_reason) <> '' AND char_length(p_reason) <= 2000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_reason is %s', CASE
                WHEN p_reason IS NULL THEN 'missing'
                WHEN btrim(p_reason) = '' THEN 'empty'
                ELSE char_length(p_reason) || ' characters long'
            END),
            HINT = 'Say in 1 to 2000 characters why these events need no handling: it is what remains of them for this handler.';
    END IF;
    IF p_dry_run THEN
        RETURN QUERY
        SELECT p.*
        FROM millrace.find_parked(
            p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status, v_statuses, p_limit
        ) AS p;
        RETURN;
    END IF;

    -- Statement by statement: each sees what the one before has waited for.
    v_held := ARRAY(
        SELECT h
        FROM millrace.hold_parked(
            p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status, v_statuses, p_limit,
            ARRAY['retrying']
        ) AS h
    );
    INSERT INTO millrace.handler_actions (action, handler_id, position, event_id, reason, details)
    SELECT 'discard', h.handler_id, h.position, h.event_id, p_reason,
           jsonb_build_object('status', h.status, 'attempts', h.attempts, 'error', h.error, 'event_type', h.event_type)
    FROM unnest(v_held) AS h;

    RETURN QUERY
    WITH changed AS (
        UPDATE millrace.parked_events AS p
        SET status = 'discarding', next_attempt_at = v_now, discard_reason = p_reason
        FROM unnest(v_held) AS h
        WHERE p.handler_id = h.handler_id AND p.aggregate_type = h.aggregate_type AND p.aggregate_id = h.aggregate_id
        RETURNING p.*
    )
    SELECT c.* FROM changed AS c ORDER BY c.handler_id, c.position;
    PERFORM millrace.ring_handlers(d.handler_id) FROM (SELECT DISTINCT h.handler_id FROM unnest(v_held) AS h) AS d;
END
$$;

REVOKE ALL ON FUNCTION millrace.discard_parked(text, text, text, text, uuid, text, text, text, boolean, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.discard_parked(text, text, text, text, uuid, text, text, text, boolean, int) TO millrace_admin;
