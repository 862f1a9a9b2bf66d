-- The streams that may hold personal data of a subject.
CREATE OR REPLACE FUNCTION millrace.list_subject_streams(p_subject text)
RETURNS TABLE (aggregate_type text, aggregate_id text, snapshots bigint, forgotten_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.check_subject(p_subject);
    RETURN QUERY
    SELECT s.aggregate_type, s.aggregate_id,
           (
               SELECT count(*) FROM millrace.snapshots AS n
               WHERE n.aggregate_type = s.aggregate_type AND n.aggregate_id = s.aggregate_id
           ),
           s.forgotten_at
    FROM millrace.subject_streams AS s
    WHERE s.subject = p_subject
    ORDER BY s.aggregate_type, s.aggregate_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_subject_streams(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_subject_streams(text) TO millrace_admin;
