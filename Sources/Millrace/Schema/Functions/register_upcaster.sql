-- Makes a function of this database say what old events of a type mean now: it takes the event and returns what is read in its place, one or
-- several, or none, which drops it. What is stored never changes. Applied step by step until none fits, by rebuild_aggregate,
-- aggregate_history and whatever runs SQL handlers. Answers registered, replaced (there was another) or present.
--
-- p_schema_version is the version it takes: the event's metadata ->> 'schema_version', 1 where that is absent. NULL: every version that has
-- no upcaster of its own, for what becomes another type altogether. p_into names the types that it makes of the event, its own where it is
-- NULL; what comes back of another type is an error (MR025). A result of the same type and version is of the next version then.
--
-- The function may change the type, the data, the metadata and the payload; the rest is put back as it is stored. p_function and whom it runs
-- for: see register_reducer.
CREATE OR REPLACE FUNCTION millrace.register_upcaster(
    p_event_type text, p_function text, p_schema_version int DEFAULT NULL, p_into text[] DEFAULT NULL
) RETURNS text
-- Without a search_path of its own, because p_function is looked up in the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_name pg_catalog.text;
BEGIN
    SELECT c.name INTO STRICT v_name
    FROM millrace.check_sql_function('upcaster', millrace.find_sql_function('upcaster', p_function), p_function) AS c;
    RETURN millrace.set_upcaster(p_event_type, v_name, p_schema_version, p_into);
END
$$;

REVOKE ALL ON FUNCTION millrace.register_upcaster(text, text, int, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.register_upcaster(text, text, int, text[]) TO millrace_admin;
