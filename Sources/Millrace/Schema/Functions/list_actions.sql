-- What operators did, the newest first: to handlers, to one of them, or to one event of one.
CREATE OR REPLACE FUNCTION millrace.list_actions(
    p_handler_id text DEFAULT NULL, p_position bigint DEFAULT NULL, p_limit int DEFAULT 100
) RETURNS SETOF millrace.handler_actions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT a.*
    FROM millrace.handler_actions AS a
    WHERE (p_handler_id IS NULL OR a.handler_id = p_handler_id)
      AND (p_position IS NULL OR a.position = p_position)
    ORDER BY a.action_id DESC
    LIMIT greatest(p_limit, 0);
END
$$;

REVOKE ALL ON FUNCTION millrace.list_actions(text, bigint, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_actions(text, bigint, int) TO millrace_consumer, millrace_admin;
