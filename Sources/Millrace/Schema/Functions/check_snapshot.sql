-- The first step of save_snapshot: what can be seen to be wrong with its arguments.
CREATE OR REPLACE FUNCTION millrace.check_snapshot(
    p_aggregate_type text, p_aggregate_id text, p_decider text, p_shape int, p_version int, p_state json
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- A state that large is read faster from its events.
    v_largest constant int := 16777216;
    v_problem text;
BEGIN
    PERFORM millrace.check_names(ARRAY[p_aggregate_type], ARRAY[p_aggregate_id]);
    IF (char_length(p_decider) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_decider', p_decider, NULL);
    END IF;
    v_problem := CASE
        WHEN (p_shape >= 0) IS NOT TRUE THEN format('p_shape is %s', coalesce(p_shape::text, 'missing'))
        WHEN (p_version > 0) IS NOT TRUE THEN format('p_version is %s', coalesce(p_version::text, 'missing'))
        WHEN p_state IS NULL THEN 'p_state is missing'
        WHEN octet_length(p_state::text) > v_largest THEN format('p_state has %s bytes', octet_length(p_state::text))
    END;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = v_problem,
            HINT = format('Give a shape from 0 on, a version from 1 on, and a state of up to %s bytes.', v_largest);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_snapshot(text, text, text, int, int, json) FROM PUBLIC;
