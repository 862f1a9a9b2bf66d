-- Drops a generation that does not serve, with its tables, as the caller.
CREATE OR REPLACE FUNCTION millrace.drop_generation(p_projection text, p_generation int) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', millrace.forget_generation(p_projection, p_generation));
END
$$;

REVOKE ALL ON FUNCTION millrace.drop_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.drop_generation(text, int) TO millrace_consumer, millrace_admin;
