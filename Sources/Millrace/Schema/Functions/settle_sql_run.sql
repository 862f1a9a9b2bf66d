-- The last step of run_sql_handler: settles what was tried, where anything was or the checkpoint moves. Answers when the lane's next
-- waiting stream is due; NULL where none waits for a time.
CREATE OR REPLACE FUNCTION millrace.settle_sql_run(
    p_handler_id text, p_lane int, p_token bigint, p_checkpoint bigint, p_worker text, p_tries millrace.event_audit[],
    p_waiting_types text[], p_waiting_ids text[]
) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF p_tries IS NOT NULL OR EXISTS (
        SELECT FROM millrace.handler_lanes AS l
        WHERE l.handler_id = p_handler_id AND l.lane = p_lane AND (l.checkpoint <> p_checkpoint OR l.token <> p_token)
    ) THEN
        PERFORM millrace.settle_tries(
            p_handler_id, p_lane, p_token, p_checkpoint, p_worker, p_tries, p_waiting_types, p_waiting_ids
        );
    END IF;
    PERFORM set_config('millrace.handling', '', true);
    RETURN (
        SELECT min(p.next_attempt_at) FROM millrace.parked_events AS p WHERE p.handler_id = p_handler_id AND p.lane = p_lane
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.settle_sql_run(text, int, bigint, bigint, text, millrace.event_audit[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.settle_sql_run(text, int, bigint, bigint, text, millrace.event_audit[], text[], text[])
    TO millrace_consumer, millrace_admin;
