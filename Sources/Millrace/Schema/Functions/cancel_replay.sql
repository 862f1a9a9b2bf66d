-- Ends a replay where it is; what was handled by it stays. Answers the state it was in: open, and it is cancelled now, finished or cancelled.
CREATE OR REPLACE FUNCTION millrace.cancel_replay(p_replay_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_replay millrace.handler_replays;
    v_state  text;
BEGIN
    SELECT r.* INTO v_replay FROM millrace.handler_replays AS r WHERE r.replay_id = p_replay_id FOR NO KEY UPDATE;
    IF v_replay.replay_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_replay_id is %s, and there is no such replay', coalesce(p_replay_id::text, 'missing')),
            HINT = 'SELECT * FROM millrace.list_replays() shows those there are.';
    END IF;
    SELECT r.state INTO STRICT v_state FROM millrace.list_replays(v_replay.handler_id, NULL) AS r WHERE r.replay_id = p_replay_id;
    IF v_state = 'open' THEN
        UPDATE millrace.handler_replays AS r
        SET cancelled_by = session_user, cancelled_at = clock_timestamp()
        WHERE r.replay_id = p_replay_id;
        INSERT INTO millrace.handler_actions (action, handler_id, details)
        VALUES ('cancel_replay', v_replay.handler_id, jsonb_build_object('replay_id', p_replay_id));
        PERFORM millrace.ring_handlers(v_replay.handler_id);
    END IF;
    RETURN v_state;
END
$$;

REVOKE ALL ON FUNCTION millrace.cancel_replay(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.cancel_replay(bigint) TO millrace_admin;
