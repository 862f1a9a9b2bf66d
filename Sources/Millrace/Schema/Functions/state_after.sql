-- The state that the event after a version finds: as rebuild_aggregate has it, and what its reducer begins with where there is none before.
--
-- Without a search_path of its own, as rebuild_aggregate.
CREATE OR REPLACE FUNCTION millrace.state_after(p_aggregate_type text, p_aggregate_id text, p_version int, p_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RETURN (
        SELECT f.state
        FROM millrace.find_reducer(p_aggregate_type) AS r
        CROSS JOIN LATERAL millrace.fold_stream(
            r.function, r.call, r.upcasters, r.initial, p_aggregate_type, p_aggregate_id, p_version, p_at
        ) AS f
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.state_after(text, text, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.state_after(text, text, int, timestamptz) TO millrace_publisher, millrace_consumer, millrace_admin;
