-- Makes what is made when a generation's tables are full, once, as the projection's owner, whom the caller must be able to act as.
CREATE OR REPLACE FUNCTION millrace.index_generation(p_projection text, p_generation int) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_path       pg_catalog.text := pg_catalog.current_setting('search_path');
    v_role       pg_catalog.text := pg_catalog.current_setting('role');
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
BEGIN
    IF v_generation.indexed_at IS NOT NULL THEN
        RETURN;
    END IF;
    IF v_generation.indexes IS NOT NULL THEN
        PERFORM pg_catalog.set_config('role', p.owner::pg_catalog.text, true)
        FROM millrace.projections AS p WHERE p.projection OPERATOR(pg_catalog.=) p_projection;
        PERFORM pg_catalog.set_config(
            'search_path', pg_catalog.concat_ws(', ', pg_catalog.quote_ident(v_generation.schema_name), nullif(v_path, '')), true
        );
        EXECUTE v_generation.indexes;
        PERFORM pg_catalog.set_config('search_path', v_path, true);
        PERFORM pg_catalog.set_config('role', v_role, true);
    END IF;
    PERFORM millrace.generation_indexed(p_projection, p_generation);
END
$$;

REVOKE ALL ON FUNCTION millrace.index_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.index_generation(text, int) TO millrace_consumer, millrace_admin;
