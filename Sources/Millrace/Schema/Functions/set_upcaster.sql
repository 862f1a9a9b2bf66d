-- The step of register_upcaster that writes: registered, replaced or present.
CREATE OR REPLACE FUNCTION millrace.set_upcaster(p_event_type text, p_function text, p_schema_version int, p_into text[]) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_into   text[] := (SELECT coalesce(array_agg(DISTINCT t.name COLLATE "C" ORDER BY t.name COLLATE "C"), '{}')
                        FROM unnest(coalesce(p_into, ARRAY[p_event_type])) AS t (name));
    v_before millrace.event_upcasters;
BEGIN
    IF (char_length(p_event_type) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_event_type', p_event_type, NULL);
    ELSIF p_schema_version < 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_schema_version is %s', p_schema_version),
            HINT = 'Give the version that the function takes, 1 or more, or NULL for every version of the type.';
    ELSIF p_schema_version IS NULL AND p_event_type = ANY (v_into) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_schema_version is missing for an upcaster from %s to itself, which would lift its own results', p_event_type),
            HINT = 'Give the version that it takes, or in p_into the other types that it makes of the event.';
    END IF;
    PERFORM millrace.refuse_name(format('p_into[%s]', t.index), t.name, NULL)
    FROM unnest(p_into) WITH ORDINALITY AS t (name, index)
    WHERE (char_length(t.name) BETWEEN 1 AND 255) IS NOT TRUE
    ORDER BY t.index;

    INSERT INTO millrace.event_upcasters (event_type, schema_version, function, into_types)
    VALUES (p_event_type, p_schema_version, p_function, v_into)
    ON CONFLICT ON CONSTRAINT event_upcasters_key DO NOTHING;
    IF FOUND THEN
        RETURN 'registered';
    END IF;

    SELECT u.* INTO STRICT v_before
    FROM millrace.event_upcasters AS u
    WHERE u.event_type = p_event_type AND u.schema_version IS NOT DISTINCT FROM p_schema_version
    FOR UPDATE;
    IF v_before.function = p_function AND v_before.into_types = v_into THEN
        RETURN 'present';
    END IF;
    UPDATE millrace.event_upcasters AS u
    SET function = p_function, into_types = v_into, registered_by = session_user, registered_at = clock_timestamp()
    WHERE u.event_type = p_event_type AND u.schema_version IS NOT DISTINCT FROM p_schema_version;
    RETURN 'replaced';
END
$$;

REVOKE ALL ON FUNCTION millrace.set_upcaster(text, text, int, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.set_upcaster(text, text, int, text[]) TO millrace_admin;
