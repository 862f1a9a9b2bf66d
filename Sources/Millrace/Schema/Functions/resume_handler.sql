-- Lets a paused or stopped handler go on where it was. Answers the state it was in.
CREATE OR REPLACE FUNCTION millrace.resume_handler(p_handler_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id, true);
BEGIN
    IF EXISTS (
        SELECT
        FROM millrace.projection_generations AS g JOIN millrace.projections AS p ON p.projection = g.projection
        WHERE g.handler_id = p_handler_id AND (g.state = 'kept' OR g.state = 'serving' AND p.mode = 'inline')
    ) THEN
        PERFORM millrace.refuse_generation(p_handler_id, 'resumed');
    END IF;
    UPDATE millrace.event_handlers AS h
    SET state = 'active', state_reason = NULL, state_since = clock_timestamp()
    WHERE h.handler_id = p_handler_id AND h.state <> 'active';
    IF FOUND THEN
        INSERT INTO millrace.handler_actions (action, handler_id, details)
        VALUES ('resume', p_handler_id, jsonb_build_object('state', v_handler.state, 'state_reason', v_handler.state_reason));
    END IF;
    PERFORM millrace.ring_handlers(p_handler_id);
    RETURN v_handler.state;
END
$$;

REVOKE ALL ON FUNCTION millrace.resume_handler(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.resume_handler(text) TO millrace_admin;
