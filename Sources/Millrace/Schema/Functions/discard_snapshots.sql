-- Deletes the snapshots of an aggregate type, or of one aggregate; of all deciders, or of one. Answers how many. Nothing is lost but
-- time: the next load reads the stream from its beginning.
CREATE OR REPLACE FUNCTION millrace.discard_snapshots(
    p_aggregate_type text,
    p_aggregate_id   text DEFAULT NULL,
    p_decider        text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_discarded bigint;
BEGIN
    IF (char_length(p_aggregate_type) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_aggregate_type', p_aggregate_type, NULL);
    END IF;
    DELETE FROM millrace.snapshots AS n
    WHERE n.aggregate_type = p_aggregate_type
      AND (p_aggregate_id IS NULL OR n.aggregate_id = p_aggregate_id)
      AND (p_decider IS NULL OR n.decider = p_decider);
    GET DIAGNOSTICS v_discarded = ROW_COUNT;
    RETURN v_discarded;
END
$$;

REVOKE ALL ON FUNCTION millrace.discard_snapshots(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.discard_snapshots(text, text, text) TO millrace_publisher, millrace_admin;
