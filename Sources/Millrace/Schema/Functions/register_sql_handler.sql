-- Makes a function of this database a handler, or finds it as it was: registered, widened or present (see register_handler). It gets every event of the types, one at a
-- time and in the order of each stream; it is run by the daemon, by process_event or by run_sql_handlers, as whoever that is.
--
-- Old events are lifted first (register_upcaster): p_event_types are the types of what comes of that, and what is stored of types that can become
-- one of these by the upcasters there are now is looked for too. An event whose stored type is among p_event_types is never kept from it,
-- whatever it has become.
--
-- The function takes one millrace.events and returns nothing, or a text: done, retry, park or stop (NULL is done). Whatever it did stays
-- only with done: retry, park, stop and every exception, which means retry, undo it. Another function can take its place, with the same
-- event types, aggregate types and lanes, or more events where it has passed none of them.
--
-- p_function is its name, with or without the argument's type, looked up as the caller would. p_starts_after is the position it begins
-- after where it is new: 0 for the whole log, NULL for what comes from now on.
CREATE OR REPLACE FUNCTION millrace.register_sql_handler(
    p_name            text,
    p_event_types     text[],
    p_function        text,
    p_lanes           int    DEFAULT 16,
    p_starts_after    bigint DEFAULT 0,
    p_audit           text   DEFAULT 'failures',
    p_max_attempts    int    DEFAULT 10,
    p_first_wait_ms   int    DEFAULT 200,
    p_longest_wait_ms int    DEFAULT 300000,
    p_parked_limit    int    DEFAULT 10000,
    p_aggregate_types text[] DEFAULT NULL
) RETURNS text
-- Without a search_path of its own, because p_function is looked up in the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_name    pg_catalog.text;
    v_outcome pg_catalog.text;
BEGIN
    SELECT c.name INTO STRICT v_name
    FROM millrace.check_sql_function('handler', millrace.find_sql_function('handler', p_function), p_function) AS c;
    v_outcome := millrace.register_handler(
        p_name, 'sql', v_name, millrace.stored_types(p_event_types), p_aggregate_types, p_lanes, p_starts_after, p_audit, p_max_attempts,
        p_first_wait_ms, p_longest_wait_ms, p_parked_limit
    );
    PERFORM millrace.set_current_types(p_name, p_event_types);
    RETURN v_outcome;
END
$$;

REVOKE ALL ON FUNCTION millrace.register_sql_handler(text, text[], text, int, bigint, text, int, int, int, int, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.register_sql_handler(text, text[], text, int, bigint, text, int, int, int, int, text[])
    TO millrace_consumer, millrace_admin;
