-- Makes a function of this database say what the events of a type of aggregate come to, in the place of merging their objects:
-- rebuild_aggregate and aggregate_history call it with the state so far and the next event, in version order, and go on with what it
-- returns. p_initial is the state before the first event. Answers registered, replaced (there was another) or present.
--
-- A state of NULL is none: the aggregate is deleted, or not there yet. rebuild_aggregate returns NULL then, and an event that follows finds
-- NULL, not p_initial.
--
-- p_function is its name, with or without its arguments, looked up as the caller would. It runs with the rights of whoever asks, and only for
-- those whose role its owner is a member of (MR018): give it to a superuser, or grant its owner the roles of those who ask.
CREATE OR REPLACE FUNCTION millrace.register_reducer(p_aggregate_type text, p_function text, p_initial jsonb DEFAULT NULL) RETURNS text
-- Without a search_path of its own, because p_function is looked up in the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_name pg_catalog.text;
BEGIN
    SELECT c.name INTO STRICT v_name
    FROM millrace.check_sql_function('reducer', millrace.find_sql_function('reducer', p_function), p_function) AS c;
    RETURN millrace.set_reducer(p_aggregate_type, v_name, p_initial);
END
$$;

REVOKE ALL ON FUNCTION millrace.register_reducer(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.register_reducer(text, text, jsonb) TO millrace_admin;
