-- history_after for a reader that goes page by page, with where each state differs from the one before, in the order of state_difference. p_state
-- is the state the page before ended with; where p_goes_on is false there was none, and the state after p_after_version is found first.
--
-- Without a search_path of its own, as rebuild_aggregate.
CREATE OR REPLACE FUNCTION millrace.history_page(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_after_version  int,
    p_goes_on        boolean,
    p_state          jsonb,
    p_to_version     int,
    p_limit          int,
    p_at             timestamptz
) RETURNS TABLE (
    id bigint, event_id uuid, event_type text, aggregate_type text, aggregate_id text, version int, event_data jsonb, metadata jsonb,
    occurred_at timestamptz, created_at timestamptz, payload bytea, content_type text, state_before jsonb, state jsonb,
    paths text[], befores jsonb[], afters jsonb[]
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_state pg_catalog.jsonb := CASE WHEN p_goes_on THEN p_state
        ELSE millrace.state_after(p_aggregate_type, p_aggregate_id, p_after_version, p_at) END;
BEGIN
    RETURN QUERY
    SELECT h.id, h.event_id, h.event_type, h.aggregate_type, h.aggregate_id, h.version, h.event_data, h.metadata, h.occurred_at,
           h.created_at, h.payload, h.content_type, h.state_before, h.state, d.paths, d.befores, d.afters
    FROM millrace.history_after(p_aggregate_type, p_aggregate_id, p_after_version, v_state, p_to_version, p_limit, p_at) AS h
    CROSS JOIN LATERAL (
        SELECT coalesce(pg_catalog.array_agg(s.path ORDER BY s.n), '{}'), coalesce(pg_catalog.array_agg(s.before ORDER BY s.n), '{}'),
               coalesce(pg_catalog.array_agg(s.after ORDER BY s.n), '{}')
        FROM millrace.state_difference(h.state_before, h.state) WITH ORDINALITY AS s (path, before, after, n)
    ) AS d (paths, befores, afters);
END
$$;

REVOKE ALL ON FUNCTION millrace.history_page(text, text, int, boolean, jsonb, int, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.history_page(text, text, int, boolean, jsonb, int, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
