-- Makes a projection known in a version of its code, or finds it as it was, and answers the generation that this version writes. A version that
-- is new is built beside the one that serves, from the beginning of the log, and takes its place when it is equal to it.
--
-- p_tables are statements that make its tables, without a schema, p_indexes what is made when they are full. p_functions write it, each as a
-- handler's (see register_sql_handler), a stage after the other for each event; NULL where Swift does. Views of the same names
-- appear in p_published_in, the caller's schema unless told otherwise. Everything of the user's is run as the caller, who owns what is made.
CREATE OR REPLACE FUNCTION millrace.register_projection(
    p_projection      text,
    p_version         int,
    p_tables          text,
    p_functions       text[]  DEFAULT NULL,
    p_event_types     text[]  DEFAULT NULL,
    p_aggregate_types text[]  DEFAULT NULL,
    p_mode            text    DEFAULT 'behind',
    p_indexes         text    DEFAULT NULL,
    p_published_in    name    DEFAULT NULL,
    p_lanes           int     DEFAULT 16,
    p_swaps_by_itself boolean DEFAULT true,
    p_max_attempts    int     DEFAULT 10,
    p_first_wait_ms   int     DEFAULT 200,
    p_longest_wait_ms int     DEFAULT 300000,
    p_parked_limit    int     DEFAULT 10000
) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_schema pg_catalog.name := coalesce(p_published_in, pg_catalog.current_schema());
    v_begun  pg_catalog.record;
BEGIN
    SELECT b.generation, b.is_new, b.serves INTO STRICT v_begun
    FROM millrace.begin_generation(
        p_projection, p_version, p_mode, v_schema, p_tables, p_indexes, p_functions,
        CASE WHEN p_functions IS NULL THEN p_event_types ELSE millrace.stored_types(p_event_types) END, p_aggregate_types, p_lanes,
        p_max_attempts, p_first_wait_ms, p_longest_wait_ms, p_parked_limit, 'serve', 1000, p_swaps_by_itself, true
    ) AS b;
    IF v_begun.is_new THEN
        PERFORM millrace.set_current_types(pg_catalog.format('%s@%s', p_projection, v_begun.generation), p_event_types);
        PERFORM millrace.make_generation(p_projection, v_begun.generation);
        IF v_begun.serves THEN
            PERFORM millrace.publish_generation(p_projection, v_begun.generation);
            PERFORM millrace.index_generation(p_projection, v_begun.generation);
        END IF;
    END IF;
    PERFORM millrace.guard_inline(p_projection);
    RETURN v_begun.generation;
END
$$;

REVOKE ALL ON FUNCTION millrace.register_projection(
    text, int, text, text[], text[], text[], text, text, name, int, boolean, int, int, int, int
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.register_projection(
    text, int, text, text[], text[], text[], text, text, name, int, boolean, int, int, int, int
) TO millrace_consumer, millrace_admin;
