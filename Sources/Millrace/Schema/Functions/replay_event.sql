-- Runs an SQL handler's function on an event that it has handled before, as the caller, and answers what it answers. A part of a replay, whose
-- worker undoes it where it fails and settles it with settle_replay; nothing else is written down here.
--
-- Without a search_path of its own, because the function runs with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.replay_event(p_handler_id text, p_position bigint, p_stored_at timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_function pg_catalog.text;
    v_types    pg_catalog.text[];
    v_event    millrace.events;
BEGIN
    SELECT h.function, h.current_types INTO STRICT v_function, v_types
    FROM millrace.event_handlers AS h
    WHERE h.handler_id OPERATOR(pg_catalog.=) p_handler_id AND h.kind OPERATOR(pg_catalog.=) 'sql';
    SELECT e.* INTO STRICT v_event
    FROM millrace.events AS e
    WHERE e.id OPERATOR(pg_catalog.=) p_position AND e.created_at OPERATOR(pg_catalog.=) p_stored_at;
    RETURN millrace.handle_lifted(
        millrace.sql_function_call('handler', p_handler_id, v_function), v_event, millrace.upcaster_calls(), v_types
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.replay_event(text, bigint, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.replay_event(text, bigint, timestamptz) TO millrace_consumer, millrace_admin;
