-- The heads of a lane's waiting streams whose time has come, with their events; the one that waits longest first.
CREATE OR REPLACE FUNCTION millrace.due_events(p_handler_id text, p_lane int, p_limit int)
RETURNS TABLE (
    status text, attempts int, waiting bigint, edited_data jsonb, discard_reason text,
    id bigint, event_id uuid, event_type text, aggregate_type text, aggregate_id text, version int, event_data jsonb, metadata jsonb,
    occurred_at timestamptz, created_at timestamptz, payload bytea, content_type text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT p.status, p.attempts, p.waiting, p.edited_data, p.discard_reason,
           e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version, e.event_data, e.metadata, e.occurred_at,
           e.created_at, e.payload, e.content_type
    FROM (
        SELECT d.* FROM millrace.parked_events AS d
        WHERE d.handler_id = p_handler_id AND d.lane = p_lane AND d.next_attempt_at <= clock_timestamp()
        ORDER BY d.next_attempt_at, d.position
        LIMIT greatest(p_limit, 0)
    ) AS p
    CROSS JOIN LATERAL millrace.read_stream(p.aggregate_type, p.aggregate_id, p.version, 1) AS e
    ORDER BY p.next_attempt_at, p.position;
END
$$;

REVOKE ALL ON FUNCTION millrace.due_events(text, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.due_events(text, int, int) TO millrace_consumer, millrace_admin;
