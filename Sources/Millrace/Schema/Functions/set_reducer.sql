-- The step of register_reducer that writes: registered, replaced or present.
CREATE OR REPLACE FUNCTION millrace.set_reducer(p_aggregate_type text, p_function text, p_initial jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_before millrace.aggregate_reducers;
BEGIN
    IF (char_length(p_aggregate_type) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_aggregate_type', p_aggregate_type, NULL);
    END IF;
    INSERT INTO millrace.aggregate_reducers (aggregate_type, function, initial)
    VALUES (p_aggregate_type, p_function, p_initial)
    ON CONFLICT ON CONSTRAINT aggregate_reducers_pkey DO NOTHING;
    IF FOUND THEN
        RETURN 'registered';
    END IF;

    SELECT r.* INTO STRICT v_before
    FROM millrace.aggregate_reducers AS r
    WHERE r.aggregate_type = p_aggregate_type
    FOR UPDATE;
    IF v_before.function = p_function AND v_before.initial IS NOT DISTINCT FROM p_initial THEN
        RETURN 'present';
    END IF;
    UPDATE millrace.aggregate_reducers AS r
    SET function = p_function, initial = p_initial, registered_by = session_user, registered_at = clock_timestamp()
    WHERE r.aggregate_type = p_aggregate_type;
    RETURN 'replaced';
END
$$;

REVOKE ALL ON FUNCTION millrace.set_reducer(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.set_reducer(text, text, jsonb) TO millrace_admin;
