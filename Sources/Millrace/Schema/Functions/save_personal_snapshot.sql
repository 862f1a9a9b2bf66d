-- As save_snapshot, of a state in which personal data may stand open. Not where a subject of the stream was forgotten in the last p_seconds: since
-- the state, or a key that it was opened with, was read. No two machines' clocks are compared.
CREATE OR REPLACE FUNCTION millrace.save_personal_snapshot(
    p_aggregate_type text, p_aggregate_id text, p_decider text, p_shape int, p_version int, p_state json, p_seconds float8
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    -- forget_subject waits for this to be committed, and deletes the snapshot; or this waits for it, and sees it.
    PERFORM FROM millrace.subject_streams AS s
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id
    ORDER BY s.subject
    FOR SHARE;
    IF EXISTS (
        SELECT FROM millrace.subject_streams AS s
        WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id
          AND s.forgotten_at >= clock_timestamp() - make_interval(secs => p_seconds)
    ) THEN
        RETURN false;
    END IF;
    RETURN millrace.save_snapshot(p_aggregate_type, p_aggregate_id, p_decider, p_shape, p_version, p_state);
END
$$;

REVOKE ALL ON FUNCTION millrace.save_personal_snapshot(text, text, text, int, int, json, float8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.save_personal_snapshot(text, text, text, int, int, json, float8) TO millrace_publisher, millrace_admin;
