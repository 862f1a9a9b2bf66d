-- Forgets a handler: its checkpoints, its counters and the streams that wait. The log, the audit and handler_actions keep what they have. Refused
-- while a worker offers it (MR015), who would only go on looking for it.
CREATE OR REPLACE FUNCTION millrace.remove_handler(p_handler_id text, p_reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id, true);
    v_worker  text;
BEGIN
    PERFORM millrace.refuse_generation(p_handler_id, 'removed');
    SELECT w.name INTO v_worker
    FROM millrace.handler_workers AS w
    WHERE w.handler_id = p_handler_id AND w.seen_until > clock_timestamp()
    ORDER BY w.name
    LIMIT 1;
    IF v_worker IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR015',
            MESSAGE = format('the handler %L is offered by the worker %s', p_handler_id, v_worker),
            HINT = 'Stop the processes that have it, the daemon too where it is a function, and repeat.';
    END IF;
    INSERT INTO millrace.handler_actions (action, handler_id, reason, details)
    VALUES ('remove', p_handler_id, p_reason, (
        SELECT jsonb_build_object('kind', v_handler.kind, 'checkpoint', min(l.checkpoint))
        FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id
    ));
    DELETE FROM millrace.event_handlers AS h WHERE h.handler_id = p_handler_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.remove_handler(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.remove_handler(text, text) TO millrace_admin;
