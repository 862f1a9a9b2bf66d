-- Refuses a subject that cannot be one, and a reason that says nothing.
CREATE OR REPLACE FUNCTION millrace.check_subject(p_subject text, p_reason text DEFAULT 'none is needed') RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF (octet_length(p_subject) BETWEEN 1 AND 1000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = 'p_subject is missing, empty, or longer than 1000 bytes',
            HINT = 'A subject is whose the data are, such as customer/c-7.';
    END IF;
    IF (btrim(p_reason) <> '') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = 'p_reason is missing or empty',
            HINT = 'Say why: the reason is recorded.';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_subject(text, text) FROM PUBLIC;
