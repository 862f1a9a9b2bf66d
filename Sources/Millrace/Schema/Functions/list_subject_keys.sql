-- The keys that a subject has or had, the oldest first, without the keys themselves.
CREATE OR REPLACE FUNCTION millrace.list_subject_keys(p_subject text)
RETURNS TABLE (key_id uuid, created_at timestamptz, forgotten_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.check_subject(p_subject);
    RETURN QUERY
    SELECT k.key_id, k.created_at, k.forgotten_at
    FROM millrace.subject_keys AS k
    WHERE k.subject = p_subject
    ORDER BY k.created_at, k.key_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_subject_keys(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_subject_keys(text) TO millrace_admin;
