-- Has the heads of streams that wait handled again at once, as if for the first time, and what waits behind each as soon as it succeeds.
-- Answers the streams as they are then; with p_dry_run those that are meant, and nothing happens. See find_parked for the filter.
--
-- What somebody has decided to discard, and no worker has passed over yet, is taken back only where p_status says 'discarding'.
CREATE OR REPLACE FUNCTION millrace.retry_parked(
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
    v_statuses text[] := CASE p_status WHEN 'discarding' THEN ARRAY['discarding'] ELSE ARRAY['retrying', 'parked'] END;
    v_held     millrace.parked_events[];
BEGIN
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
            ARRAY['discarding']
        ) AS h
    );
    INSERT INTO millrace.handler_actions (action, handler_id, position, event_id, details)
    SELECT 'retry', h.handler_id, h.position, h.event_id,
           jsonb_build_object('status', h.status, 'attempts', h.attempts, 'error', h.error, 'discard_reason', h.discard_reason)
    FROM unnest(v_held) AS h;

    RETURN QUERY
    WITH changed AS (
        UPDATE millrace.parked_events AS p
        SET status = 'retrying', attempts = 0, next_attempt_at = v_now, discard_reason = NULL
        FROM unnest(v_held) AS h
        WHERE p.handler_id = h.handler_id AND p.aggregate_type = h.aggregate_type AND p.aggregate_id = h.aggregate_id
        RETURNING p.*
    )
    SELECT c.* FROM changed AS c ORDER BY c.handler_id, c.position;
    PERFORM millrace.ring_handlers(d.handler_id) FROM (SELECT DISTINCT h.handler_id FROM unnest(v_held) AS h) AS d;
END
$$;

REVOKE ALL ON FUNCTION millrace.retry_parked(text, text, text, uuid, text, text, text, boolean, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.retry_parked(text, text, text, uuid, text, text, text, boolean, int) TO millrace_admin;
