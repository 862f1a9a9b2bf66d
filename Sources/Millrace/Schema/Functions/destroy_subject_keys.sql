-- Destroys the keys of a subject; answers the ids of all that it ever had. What was encrypted with them can be read by nobody any more.
--
-- The bytes go with the old version of the row: VACUUM frees its place, and copies in the WAL and in backups are as old as those are kept.
CREATE OR REPLACE FUNCTION millrace.destroy_subject_keys(p_subject text) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.check_subject(p_subject);
    -- Waits for keys that are being made, and lets none be made before this is committed.
    LOCK TABLE millrace.subject_keys IN SHARE ROW EXCLUSIVE MODE;
    UPDATE millrace.subject_keys AS k SET key = NULL, forgotten_at = clock_timestamp()
    WHERE k.subject = p_subject AND k.forgotten_at IS NULL;
    RETURN (
        SELECT coalesce(array_agg(k.key_id ORDER BY k.created_at, k.key_id), '{}')
        FROM millrace.subject_keys AS k
        WHERE k.subject = p_subject
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.destroy_subject_keys(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.destroy_subject_keys(text) TO millrace_admin;
