-- What becomes of an event that failed, by the kind of its failure: park and stop are the function's answers, everything else is tried
-- again, as often as its handler says. Answers retrying, parked, or failed: then the handler is stopped, and the event not passed.
--
-- One stream more than may be set aside stops the handler too. The event is undone and the others of the transaction are kept, so that what
-- was handled counts.
CREATE OR REPLACE FUNCTION millrace.set_event_aside(
    p_handler_id text, p_lane int, p_event millrace.events, p_attempt int, p_error text, p_kind text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    c_most_doublings CONSTANT int := 30;
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_waits   boolean := p_kind <> 'park' AND p_attempt < v_handler.max_attempts;
    v_wait_ms float8;
BEGIN
    IF p_kind = 'stop' THEN
        PERFORM millrace.stop_handler(p_handler_id, 'stopped', format('%s at event %s', p_error, p_event.id));
        RETURN 'failed';
    END IF;

    -- Doubles up to the limit, and half of it is drawn at random: what failed together does not come back together.
    v_wait_ms := least(v_handler.longest_wait_ms, v_handler.first_wait_ms * 2.0 ^ least(p_attempt - 1, c_most_doublings))
                 * (1 - random() / 2);
    PERFORM millrace.set_aside(p_handler_id, p_lane, jsonb_build_array(jsonb_build_object(
        'change', 'fail',
        'aggregate_type', p_event.aggregate_type,
        'aggregate_id', p_event.aggregate_id,
        'position', p_event.id,
        'event_id', p_event.event_id,
        'event_type', p_event.event_type,
        'version', p_event.version,
        'attempts', p_attempt,
        'error', p_error,
        'error_kind', p_kind,
        'wait_ms', CASE WHEN v_waits THEN v_wait_ms::bigint END,
        'waiting', coalesce((
            SELECT p.waiting FROM millrace.parked_events AS p
            WHERE p.handler_id = p_handler_id AND p.aggregate_type = p_event.aggregate_type AND p.aggregate_id = p_event.aggregate_id
        ), 0)
    )));
    RETURN CASE WHEN v_waits THEN 'retrying' ELSE 'parked' END;
EXCEPTION WHEN SQLSTATE 'MR017' THEN
    PERFORM millrace.stop_handler(p_handler_id, 'stopped', format('%s: event %s failed with %s', SQLERRM, p_event.id, p_error));
    RETURN 'failed';
END
$$;

REVOKE ALL ON FUNCTION millrace.set_event_aside(text, int, millrace.events, int, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.set_event_aside(text, int, millrace.events, int, text, text) TO millrace_consumer, millrace_admin;
