-- The audited attempts of a handler at an event, the newest first; which are audited is the handler's setting.
CREATE OR REPLACE FUNCTION millrace.list_attempts(p_handler_id text, p_position bigint, p_limit int DEFAULT 100)
RETURNS SETOF millrace.event_audit
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT a.*
    FROM millrace.event_audit AS a
    WHERE a.handler_id = p_handler_id AND a.position = p_position
    ORDER BY a.processed_at DESC, a.attempt DESC
    LIMIT greatest(p_limit, 0);
END
$$;

REVOKE ALL ON FUNCTION millrace.list_attempts(text, bigint, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_attempts(text, bigint, int) TO millrace_consumer, millrace_admin;
