-- How an aggregate came to its state: each event as it is stored, in version order, with the state before and after it, as rebuild_aggregate
-- makes it. From a version to a version, at most p_limit events; as of a time, which leaves out what happened later (see rebuild_aggregate).
--
--     SELECT h.version, h.event_type, d.path, d.before, d.after
--     FROM millrace.aggregate_history('order', '42') AS h
--     LEFT JOIN LATERAL millrace.state_difference(h.state_before, h.state) AS d ON true
--
-- Without a search_path of its own, as rebuild_aggregate.
CREATE OR REPLACE FUNCTION millrace.aggregate_history(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_from_version   int         DEFAULT 1,
    p_to_version     int         DEFAULT NULL,
    p_limit          int         DEFAULT 1000,
    p_at             timestamptz DEFAULT NULL
) RETURNS TABLE (
    id bigint, event_id uuid, event_type text, aggregate_type text, aggregate_id text, version int, event_data jsonb, metadata jsonb,
    occurred_at timestamptz, created_at timestamptz, payload bytea, content_type text, state_before jsonb, state jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_after pg_catalog.int4 := greatest(coalesce(p_from_version, 1), 1) OPERATOR(pg_catalog.-) 1;
    v_state pg_catalog.jsonb := millrace.state_after(p_aggregate_type, p_aggregate_id, v_after, p_at);
BEGIN
    RETURN QUERY
    SELECT h.id, h.event_id, h.event_type, h.aggregate_type, h.aggregate_id, h.version, h.event_data, h.metadata, h.occurred_at,
           h.created_at, h.payload, h.content_type, h.state_before, h.state
    FROM millrace.history_after(p_aggregate_type, p_aggregate_id, v_after, v_state, p_to_version, p_limit, p_at) AS h;
END
$$;

REVOKE ALL ON FUNCTION millrace.aggregate_history(text, text, int, int, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.aggregate_history(text, text, int, int, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
