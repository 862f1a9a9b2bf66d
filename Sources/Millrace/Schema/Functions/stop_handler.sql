-- Ends a handler's work until resume_handler, for a reason that is kept: state is paused by an operator, stopped by the handler itself or
-- by its limit. Its workers give their lanes back after what is under way. Answers the state it was in.
CREATE OR REPLACE FUNCTION millrace.stop_handler(p_handler_id text, p_state text, p_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id, true);
BEGIN
    IF (p_state IN ('paused', 'stopped')) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011', MESSAGE = format('p_state is %s', coalesce(quote_literal(p_state), 'missing')), HINT = 'Give paused or stopped.';
    END IF;
    IF v_handler.state = 'active' OR v_handler.state = 'paused' AND p_state = 'stopped' THEN
        UPDATE millrace.event_handlers AS h
        SET state = p_state, state_reason = p_reason, state_since = clock_timestamp()
        WHERE h.handler_id = p_handler_id;
        INSERT INTO millrace.handler_actions (action, handler_id, reason)
        VALUES (CASE p_state WHEN 'paused' THEN 'pause' ELSE 'stop' END, p_handler_id, p_reason);
        PERFORM millrace.ring_handlers(p_handler_id);
    END IF;
    RETURN v_handler.state;
END
$$;

REVOKE ALL ON FUNCTION millrace.stop_handler(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.stop_handler(text, text, text) TO millrace_consumer, millrace_admin;
