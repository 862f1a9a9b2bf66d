-- Gives a handler other data than the event's, the next time that it handles the head of a stream that waits. With p_merge the keys of
-- p_event_data are laid over what it would get now; NULL takes an edit back. With p_retry that is at once, as retry_parked does it. The event
-- itself never changes, and nobody else sees the edit. Answers the streams as they are then; with p_dry_run nothing is kept, and what could
-- not be done is refused all the same. See find_parked for the filter.
CREATE OR REPLACE FUNCTION millrace.edit_parked(
    p_event_data     jsonb,
    p_merge          boolean DEFAULT false,
    p_retry          boolean DEFAULT false,
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
    v_statuses text[] := ARRAY['retrying', 'parked'];
    v_held     millrace.parked_events[];
    v_stream   millrace.parked_events;
BEGIN
    IF p_merge AND jsonb_typeof(p_event_data) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_event_data is %s, and p_merge is true', coalesce('a JSON ' || jsonb_typeof(p_event_data), 'missing')),
            HINT = 'Give a JSON object whose keys are to be laid over the data, or p_merge false for data that takes its place.';
    END IF;

    IF p_dry_run THEN
        v_held := ARRAY(
            SELECT p
            FROM millrace.find_parked(
                p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status, v_statuses, p_limit
            ) AS p
        );
    ELSE
        v_held := ARRAY(
            SELECT h
            FROM millrace.hold_parked(
                p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status, v_statuses, p_limit,
                ARRAY['retrying']
            ) AS h
        );
    END IF;

    FOREACH v_stream IN ARRAY v_held LOOP
        v_stream.edited_data := millrace.edited_data(v_stream, p_event_data, p_merge);
        v_stream.edited_by := CASE WHEN v_stream.edited_data IS NOT NULL THEN session_user END;
        IF p_retry THEN
            v_stream.status := 'retrying';
            v_stream.attempts := 0;
            v_stream.next_attempt_at := clock_timestamp();
        END IF;
        IF NOT p_dry_run THEN
            -- How it was, so that the edit can be taken back.
            INSERT INTO millrace.handler_actions (action, handler_id, position, event_id, details)
            SELECT a.action, p.handler_id, p.position, p.event_id, a.details
            FROM millrace.parked_events AS p
            CROSS JOIN LATERAL (
                VALUES ('edit', jsonb_build_object('edited_data', v_stream.edited_data, 'before', p.edited_data)),
                       ('retry', jsonb_build_object('status', p.status, 'attempts', p.attempts, 'error', p.error))
            ) AS a (action, details)
            WHERE (p_retry OR a.action = 'edit') AND p.handler_id = v_stream.handler_id AND p.aggregate_type = v_stream.aggregate_type
              AND p.aggregate_id = v_stream.aggregate_id;
            UPDATE millrace.parked_events AS p
            SET edited_data = v_stream.edited_data, edited_by = v_stream.edited_by,
                status = v_stream.status, attempts = v_stream.attempts, next_attempt_at = v_stream.next_attempt_at
            WHERE p.handler_id = v_stream.handler_id AND p.aggregate_type = v_stream.aggregate_type
              AND p.aggregate_id = v_stream.aggregate_id;
        END IF;
        RETURN NEXT v_stream;
    END LOOP;
    IF NOT p_dry_run THEN
        PERFORM millrace.ring_handlers(d.handler_id) FROM (SELECT DISTINCT h.handler_id FROM unnest(v_held) AS h) AS d;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.edit_parked(jsonb, boolean, boolean, text, text, text, uuid, text, text, text, boolean, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.edit_parked(jsonb, boolean, boolean, text, text, text, uuid, text, text, text, boolean, int) TO millrace_admin;
