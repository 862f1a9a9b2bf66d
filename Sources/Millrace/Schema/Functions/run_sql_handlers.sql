-- Handles what there is for all active SQL handlers, as the caller, in the lanes that no live worker leases: for pg_cron and other schedulers,
-- where the daemon does not run. At most p_limit events a call. A row for each lane in which something was tried, or which could not be
-- run: error says why, and the others go on.
CREATE OR REPLACE FUNCTION millrace.run_sql_handlers(p_limit int DEFAULT 1000)
RETURNS TABLE (handler_id text, lane int, handled int, failed int, error text)
-- Without a search_path of its own, as run_sql_handler.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_worker CONSTANT pg_catalog.text := pg_catalog.format('run_sql_handlers by %s, pid %s', current_user, pg_catalog.pg_backend_pid());
    v_left   pg_catalog.int4 := p_limit;
    v_lane   pg_catalog.record;
    v_token  pg_catalog.int8;
    v_run    pg_catalog.record;
BEGIN
    FOR v_lane IN SELECT f.handler_id, f.lane FROM millrace.free_sql_lanes() AS f LOOP
        EXIT WHEN v_left OPERATOR(pg_catalog.<=) 0;
        handler_id := v_lane.handler_id;
        lane := v_lane.lane;
        handled := 0;
        failed := 0;
        error := NULL;
        BEGIN
            v_token := millrace.take_lane(v_lane.handler_id, v_lane.lane);
            CONTINUE WHEN v_token IS NULL;
            SELECT r.handled, r.failed INTO STRICT v_run
            FROM millrace.run_sql_handler(v_lane.handler_id, v_lane.lane, v_token, v_worker, v_left) AS r;
            handled := v_run.handled;
            failed := v_run.failed;
            v_left := v_left OPERATOR(pg_catalog.-) handled OPERATOR(pg_catalog.-) failed;
        EXCEPTION WHEN OTHERS THEN
            error := SQLERRM;
            RAISE WARNING USING
                ERRCODE = SQLSTATE,
                MESSAGE = pg_catalog.format('lane %s of the handler %L: %s', v_lane.lane, v_lane.handler_id, SQLERRM);
        END;
        IF error IS NOT NULL OR handled OPERATOR(pg_catalog.>) 0 OR failed OPERATOR(pg_catalog.>) 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.run_sql_handlers(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.run_sql_handlers(int) TO millrace_consumer, millrace_admin;
