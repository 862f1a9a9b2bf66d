-- The first step of run_sql_handler: the lane is locked from here to the end of the transaction, so nobody else can lease it, handle
-- anything in it or reset it while the caller's functions run. MR016 where it is no longer leased under this token. function is NULL where
-- the handler is not active.
CREATE OR REPLACE FUNCTION millrace.begin_sql_run(
    p_handler_id text, p_lane int, p_token bigint, p_worker text, p_limit int,
    OUT function text, OUT current_types text[], OUT checkpoint bigint, OUT began timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_handler millrace.event_handlers;
BEGIN
    IF (p_limit BETWEEN 1 AND 100000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_limit is %s', coalesce(p_limit::text, 'missing')),
            HINT = 'Give a number from 1 to 100000.';
    ELSIF (char_length(p_worker) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_worker', p_worker, NULL);
    END IF;
    PERFORM millrace.handling_begins();

    SELECT l.checkpoint INTO begin_sql_run.checkpoint
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id AND l.lane = p_lane AND l.token = p_token
    FOR UPDATE;
    v_handler := millrace.find_sql_handler(p_handler_id);
    IF begin_sql_run.checkpoint IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR016',
            MESSAGE = format('lane %s of the handler %L is not leased under token %s', p_lane, p_handler_id, p_token),
            HINT = 'Another worker has the lane, or an operator has reset the handler: lease it again.';
    END IF;
    function := CASE WHEN v_handler.state = 'active' THEN v_handler.function END;
    current_types := v_handler.current_types;
    began := clock_timestamp();
END
$$;

REVOKE ALL ON FUNCTION millrace.begin_sql_run(text, int, bigint, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.begin_sql_run(text, int, bigint, text, int) TO millrace_consumer, millrace_admin;
