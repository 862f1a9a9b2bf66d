-- Makes what is made when a generation's tables are full, once, as the caller.
CREATE OR REPLACE FUNCTION millrace.index_generation(p_projection text, p_generation int) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_path       pg_catalog.text := pg_catalog.current_setting('search_path');
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
BEGIN
    IF v_generation.indexed_at IS NOT NULL THEN
        RETURN;
    END IF;
    IF v_generation.indexes IS NOT NULL THEN
        PERFORM pg_catalog.set_config('search_path', pg_catalog.format('%I, %s', v_generation.schema_name, v_path), true);
        EXECUTE v_generation.indexes;
        PERFORM pg_catalog.set_config('search_path', v_path, true);
    END IF;
    PERFORM millrace.generation_indexed(p_projection, p_generation);
END
$$;

REVOKE ALL ON FUNCTION millrace.index_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.index_generation(text, int) TO millrace_consumer, millrace_admin;
