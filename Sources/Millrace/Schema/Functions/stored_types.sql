-- These types, and behind them the others that can become one of them: what a reader of current types has to look for. NULL is every type.
CREATE OR REPLACE FUNCTION millrace.stored_types(p_event_types text[]) RETURNS text[]
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE sources AS (
        SELECT t.name COLLATE "C" AS name FROM unnest(p_event_types) AS t (name)
        UNION
        SELECT u.event_type FROM sources AS s JOIN millrace.event_upcasters AS u ON s.name = ANY (u.into_types)
    )
    SELECT CASE WHEN p_event_types IS NOT NULL
        THEN p_event_types || array_agg(s.name ORDER BY s.name) FILTER (WHERE s.name <> ALL (p_event_types))
    END
    FROM sources AS s
$$;

REVOKE ALL ON FUNCTION millrace.stored_types(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.stored_types(text[]) TO millrace_publisher, millrace_consumer, millrace_admin;
