-- Handles one event with the function of an SQL handler, or of all active ones that want it, as the caller: true where at least one of them
-- handled it now. See process_events_batch, which says why it may not.
CREATE OR REPLACE FUNCTION millrace.process_event(p_event_id uuid, p_handler_id text DEFAULT NULL) RETURNS boolean
-- Without a search_path of its own, as run_sql_handler.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RETURN (
        SELECT pg_catalog.bool_or(b.processed) FROM millrace.process_events_batch(ARRAY[p_event_id], p_handler_id) AS b
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.process_event(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.process_event(uuid, text) TO millrace_consumer, millrace_admin;
