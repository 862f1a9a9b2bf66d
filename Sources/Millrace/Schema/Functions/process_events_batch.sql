-- Handles events with the functions of one SQL handler, or of all active ones that want them, as the caller: a row for each event and handler, with
-- whether it was handled now. In the order of positions, whatever the order of the ids; each in a subtransaction of its own.
--
-- false: it is not the next of its stream for this handler (handled before, or something before it is not), or waits for its next attempt;
-- another worker has its lane, by a lease or in this moment; the handler is not active or wants no such event; or the function failed, which
-- retries or parks it as in run_sql_handler. The lanes stay locked until the caller's transaction ends.
--
-- An event may be handled before the lane's checkpoint reaches it, above the horizon too: see claim_event. It is noted in handled_ahead, so
-- that the scan skips it; where nothing open lies before it, the checkpoint moves instead. Likewise the head of a waiting stream in
-- parked_events may lie beyond the checkpoint; what follows it is counted as waiting when the scan passes it.
CREATE OR REPLACE FUNCTION millrace.process_events_batch(p_event_ids uuid[], p_handler_id text DEFAULT NULL)
RETURNS TABLE (event_id uuid, handler_id text, processed boolean)
-- Without a search_path of its own, as run_sql_handler.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_worker    CONSTANT pg_catalog.text := pg_catalog.format('process_event by %s, pid %s', current_user, pg_catalog.pg_backend_pid());
    v_item      pg_catalog.record;
    v_handler   pg_catalog.text;
    v_call      pg_catalog.text;
    v_upcasters pg_catalog.jsonb := millrace.upcaster_calls();
    v_claim     pg_catalog.record;
    v_try       millrace.event_audit;
    v_tries     millrace.event_audit[];
    v_tried     pg_catalog.int4 := 0;
BEGIN
    FOR v_item IN
        SELECT t.event_id, t.handler_id, t.function, t.current_types, t.event
        FROM millrace.events_to_process(p_event_ids, p_handler_id) AS t
    LOOP
        event_id := v_item.event_id;
        handler_id := v_item.handler_id;
        processed := false;
        -- The rows of a handler follow each other.
        IF v_item.function IS NOT NULL AND (v_handler IS NULL OR NOT pg_catalog.texteq(v_handler, v_item.handler_id)) THEN
            v_handler := v_item.handler_id;
            v_call := NULL;
            BEGIN
                v_call := millrace.sql_function_call('handler', v_handler, v_item.function);
            EXCEPTION WHEN SQLSTATE 'MR018' THEN
                -- That the caller cannot run one handler is no reason to keep the events from the others, unless he asked for it.
                IF p_handler_id IS NOT NULL THEN
                    RAISE;
                END IF;
                RAISE WARNING USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
            END;
        END IF;

        IF v_item.function IS NOT NULL AND v_call IS NOT NULL THEN
            SELECT c.lane, c.attempt, c.discarded, c.event INTO STRICT v_claim
            FROM millrace.claim_event(v_handler, v_item.event) AS c;
            IF v_claim.lane IS NOT NULL THEN
                v_try := millrace.try_event(
                    v_call, v_handler, v_claim.lane, v_claim.event, v_claim.attempt, v_claim.discarded, v_worker, false,
                    v_upcasters, v_item.current_types
                );
                v_tried := v_tried OPERATOR(pg_catalog.+) 1;
                v_tries[v_tried] := v_try;
                IF v_try.error IS NULL OR v_claim.discarded IS NOT NULL THEN
                    PERFORM millrace.pass_event(v_handler, v_claim.lane, v_claim.event, pg_catalog.clock_timestamp());
                    processed := v_claim.discarded IS NULL;
                END IF;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM millrace.settle_processed(v_tries);
END
$$;

REVOKE ALL ON FUNCTION millrace.process_events_batch(uuid[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.process_events_batch(uuid[], text) TO millrace_consumer, millrace_admin;
