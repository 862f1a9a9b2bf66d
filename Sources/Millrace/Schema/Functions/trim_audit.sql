-- Deletes rows of event_audit that are older than store.audit_kept, at most p_limit, and answers how many; the daemon calls it until it answers
-- fewer. Two at once pass each other's rows over.
CREATE OR REPLACE FUNCTION millrace.trim_audit(p_limit int DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_before timestamptz := (SELECT clock_timestamp() - s.audit_kept FROM millrace.store AS s);
    v_count  bigint;
BEGIN
    DELETE FROM millrace.event_audit AS a
    WHERE a.ctid = ANY (ARRAY(
        SELECT o.ctid FROM millrace.event_audit AS o
        WHERE o.processed_at < v_before
        LIMIT greatest(p_limit, 0)
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$$;

REVOKE ALL ON FUNCTION millrace.trim_audit(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.trim_audit(int) TO millrace_admin;
