-- The last step of process_events_batch: for each lane that it held, what was tried, and the checkpoint as far as it may move.
--
-- The transaction is the caller's, who may do more in it than a worker does: how long it may idle stays as he has it.
CREATE OR REPLACE FUNCTION millrace.settle_processed(p_tries millrace.event_audit[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_timeout text := current_setting('idle_in_transaction_session_timeout');
    v_lane    record;
BEGIN
    FOR v_lane IN
        SELECT t.handler_id, t.lane, l.token, min(t.worker) AS worker
        FROM unnest(p_tries) AS t
        JOIN millrace.handler_lanes AS l ON l.handler_id = t.handler_id AND l.lane = t.lane
        GROUP BY t.handler_id, t.lane, l.token
        ORDER BY t.handler_id, t.lane
    LOOP
        PERFORM millrace.settle_tries(
            v_lane.handler_id, v_lane.lane, v_lane.token, millrace.handled_up_to(v_lane.handler_id, v_lane.lane), v_lane.worker,
            ARRAY(SELECT t FROM unnest(p_tries) AS t WHERE t.handler_id = v_lane.handler_id AND t.lane = v_lane.lane), NULL, NULL
        );
    END LOOP;
    PERFORM set_config('idle_in_transaction_session_timeout', v_timeout, true);
    PERFORM set_config('millrace.handling', '', true);
END
$$;

REVOKE ALL ON FUNCTION millrace.settle_processed(millrace.event_audit[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.settle_processed(millrace.event_audit[]) TO millrace_consumer, millrace_admin;
