-- The step of register_sql_handler that notes the types it was registered for; what is looked for is event_types.
CREATE OR REPLACE FUNCTION millrace.set_current_types(p_handler_id text, p_types text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    UPDATE millrace.event_handlers AS h
    SET current_types = p_types
    WHERE h.handler_id = p_handler_id AND h.kind = 'sql' AND h.current_types IS DISTINCT FROM p_types;
END
$$;

REVOKE ALL ON FUNCTION millrace.set_current_types(text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.set_current_types(text, text[]) TO millrace_consumer, millrace_admin;
