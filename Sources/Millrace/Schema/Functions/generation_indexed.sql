-- Notes that a generation's indexes are made.
CREATE OR REPLACE FUNCTION millrace.generation_indexed(p_projection text, p_generation int) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
    SELECT millrace.check_projection_owner(p_projection);
    UPDATE millrace.projection_generations AS g
    SET indexed_at = clock_timestamp()
    WHERE g.projection = p_projection AND g.generation = p_generation AND g.indexed_at IS NULL
$$;

REVOKE ALL ON FUNCTION millrace.generation_indexed(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.generation_indexed(text, int) TO millrace_consumer, millrace_admin;
