-- Lets the function of an inline projection write events that the caller's transaction has stored, as the caller, in the order of their positions.
CREATE OR REPLACE FUNCTION millrace.project_inline(p_handler_id text, p_function text, p_positions bigint[]) RETURNS void
-- Without a search_path of its own: the function runs with the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_call        pg_catalog.text := millrace.sql_function_call('handler', p_handler_id, p_function);
    v_upcasters   pg_catalog.jsonb := millrace.upcaster_calls();
    v_types       pg_catalog.text[];
    v_current     pg_catalog.text[];
    v_aggregates  pg_catalog.text[];
    v_event       millrace.events;
BEGIN
    SELECT h.event_types, h.current_types, h.aggregate_types INTO STRICT v_types, v_current, v_aggregates
    FROM millrace.event_handlers AS h WHERE h.handler_id OPERATOR(pg_catalog.=) p_handler_id;
    FOR v_event IN SELECT e.* FROM millrace.read_events(p_positions) AS e LOOP
        IF (v_types IS NULL OR v_event.event_type OPERATOR(pg_catalog.=) ANY (v_types))
           AND (v_aggregates IS NULL OR v_event.aggregate_type OPERATOR(pg_catalog.=) ANY (v_aggregates)) THEN
            PERFORM millrace.handle_lifted(v_call, v_event, v_upcasters, v_current);
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.project_inline(text, text, bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.project_inline(text, text, bigint[]) TO millrace_publisher, millrace_consumer, millrace_admin;
