-- A handler's row, locked against other changes of it where p_lock; MR015 where there is none.
--
-- No stronger lock than that: the foreign keys of what a worker inserts lock the row too, after his lane. With FOR UPDATE a reset, which goes on
-- to the lanes, and that worker would wait for each other, and so would two lanes that fail at once and both stop their handler.
CREATE OR REPLACE FUNCTION millrace.find_handler(p_handler_id text, p_lock boolean DEFAULT false) RETURNS millrace.event_handlers
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_handler millrace.event_handlers;
BEGIN
    IF p_lock THEN
        SELECT h.* INTO v_handler FROM millrace.event_handlers AS h WHERE h.handler_id = p_handler_id FOR NO KEY UPDATE;
    ELSE
        SELECT h.* INTO v_handler FROM millrace.event_handlers AS h WHERE h.handler_id = p_handler_id;
    END IF;
    IF v_handler.handler_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR015',
            MESSAGE = format('there is no handler %L', p_handler_id),
            HINT = 'A handler is registered by its first worker, or by register_sql_handler; `millrace handlers` lists them.';
    END IF;
    RETURN v_handler;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_handler(text, boolean) FROM PUBLIC;
