-- Handles the next events of one lane with the handler's function, as the caller: what is due first, with what waits behind it, then what is
-- new, up to the horizon; at most p_limit events, each in a subtransaction of its own. Called in a transaction of its own by the worker that
-- has leased the lane under this token; MR016 where he has it no longer, and then nothing is done.
--
-- checkpoint is where the lane is now; is_last: nothing more is to be read now; next_due: when the lane's next waiting stream is tried again.
-- An answer of stop, and one stream too many that fails, stop the handler before that event; what was handled before it counts.
--
-- Only the steps that write what roles may not write are SECURITY DEFINER. This is not, and has no search_path of its own, because the
-- function runs with the caller's rights and search_path; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.run_sql_handler(
    p_handler_id text, p_lane int, p_token bigint, p_worker text, p_limit int,
    OUT handled int, OUT failed int, OUT checkpoint bigint, OUT is_last boolean, OUT next_due timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_run           pg_catalog.record;
    v_call          pg_catalog.text;
    v_upcasters     pg_catalog.jsonb;
    v_found         pg_catalog.record;
    v_try           millrace.event_audit;
    v_tries         millrace.event_audit[];
    v_tried         pg_catalog.int4 := 0;
    v_stopped       pg_catalog.bool := false;
    v_stream        pg_catalog.text;
    -- Streams that began to wait since the page was read.
    v_set_aside     pg_catalog.text[] := '{}';
    v_waiting       pg_catalog.int4 := 0;
    v_waiting_types pg_catalog.text[];
    v_waiting_ids   pg_catalog.text[];
    v_scanned_to    pg_catalog.int8;
BEGIN
    SELECT b.function, b.current_types, b.checkpoint, b.began INTO STRICT v_run
    FROM millrace.begin_sql_run(p_handler_id, p_lane, p_token, p_worker, p_limit) AS b;
    handled := 0;
    failed := 0;
    checkpoint := v_run.checkpoint;
    is_last := v_run.function IS NULL;
    IF NOT is_last THEN
        v_call := millrace.sql_function_call('handler', p_handler_id, v_run.function);
        v_upcasters := millrace.upcaster_calls();
    END IF;

    WHILE NOT is_last AND NOT v_stopped AND v_tried OPERATOR(pg_catalog.<) p_limit LOOP
        SELECT c.attempt, c.discarded, c.event INTO STRICT v_found
        FROM millrace.claim_due_event(p_handler_id, p_lane, v_run.began) AS c;
        EXIT WHEN v_found.attempt IS NULL;
        v_try := millrace.try_event(
            v_call, p_handler_id, p_lane, v_found.event, v_found.attempt, v_found.discarded, p_worker, true, v_upcasters,
            v_run.current_types
        );
        v_tried := v_tried OPERATOR(pg_catalog.+) 1;
        v_tries[v_tried] := v_try;
        IF v_try.error IS NOT NULL AND v_found.discarded IS NULL THEN
            failed := failed OPERATOR(pg_catalog.+) 1;
            v_stopped := pg_catalog.texteq(v_try.status, 'failed');
        ELSE
            PERFORM millrace.pass_event(p_handler_id, p_lane, v_found.event, v_run.began);
            IF v_found.discarded IS NULL THEN
                handled := handled OPERATOR(pg_catalog.+) 1;
            END IF;
        END IF;
    END LOOP;

    IF NOT is_last AND NOT v_stopped AND v_tried OPERATOR(pg_catalog.<) p_limit THEN
        FOR v_found IN
            SELECT r.scanned_to, r.is_last, r.waits, r.event
            FROM millrace.read_lane(p_handler_id, p_lane, p_limit OPERATOR(pg_catalog.-) v_tried) AS r
        LOOP
            v_scanned_to := v_found.scanned_to;
            is_last := v_found.is_last;
            EXIT WHEN (v_found.event).id IS NULL;
            v_stream := pg_catalog.format('%L %L', (v_found.event).aggregate_type, (v_found.event).aggregate_id);
            IF v_found.waits OR v_stream OPERATOR(pg_catalog.=) ANY (v_set_aside) THEN
                v_waiting := v_waiting OPERATOR(pg_catalog.+) 1;
                v_waiting_types[v_waiting] := (v_found.event).aggregate_type;
                v_waiting_ids[v_waiting] := (v_found.event).aggregate_id;
            ELSE
                v_try := millrace.try_event(
                    v_call, p_handler_id, p_lane, v_found.event, 1, NULL, p_worker, true, v_upcasters, v_run.current_types
                );
                v_tried := v_tried OPERATOR(pg_catalog.+) 1;
                v_tries[v_tried] := v_try;
                IF v_try.error IS NULL THEN
                    handled := handled OPERATOR(pg_catalog.+) 1;
                ELSE
                    failed := failed OPERATOR(pg_catalog.+) 1;
                    v_stopped := pg_catalog.texteq(v_try.status, 'failed');
                    EXIT WHEN v_stopped;
                    v_set_aside := pg_catalog.array_append(v_set_aside, v_stream);
                END IF;
            END IF;
            checkpoint := (v_found.event).id;
        END LOOP;
        IF NOT v_stopped THEN
            checkpoint := v_scanned_to;
        END IF;
    END IF;

    is_last := is_last OR v_stopped;
    next_due := millrace.settle_sql_run(
        p_handler_id, p_lane, p_token, checkpoint, p_worker, v_tries, v_waiting_types, v_waiting_ids
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.run_sql_handler(text, int, bigint, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.run_sql_handler(text, int, bigint, text, int) TO millrace_consumer, millrace_admin;
