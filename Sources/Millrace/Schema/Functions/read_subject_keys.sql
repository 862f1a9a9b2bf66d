-- Keys by their ids: without a key where it was destroyed, without a row where there never was one.
CREATE OR REPLACE FUNCTION millrace.read_subject_keys(p_key_ids uuid[])
RETURNS TABLE (key_id uuid, key bytea, forgotten_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT k.key_id, k.key, k.forgotten_at
    FROM millrace.subject_keys AS k
    WHERE k.key_id = ANY (p_key_ids)
    ORDER BY k.key_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.read_subject_keys(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_subject_keys(uuid[]) TO millrace_publisher, millrace_consumer, millrace_admin;
