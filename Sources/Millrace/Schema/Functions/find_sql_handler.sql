-- As find_handler, and MR015 where it is code of a process.
CREATE OR REPLACE FUNCTION millrace.find_sql_handler(p_handler_id text) RETURNS millrace.event_handlers
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
BEGIN
    IF v_handler.kind <> 'sql' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR015',
            MESSAGE = format('the handler %L is %s code and no function of this database', p_handler_id, v_handler.kind),
            HINT = 'Its own workers run it; a function is registered with register_sql_handler.';
    END IF;
    RETURN v_handler;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_sql_handler(text) FROM PUBLIC;
