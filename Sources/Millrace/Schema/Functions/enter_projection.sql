-- The first step of a transaction that writes a generation: its schema comes first in the search_path to the end of it. Answers up to which
-- position events of the lane have no effects but on its tables: all of them while it is being built.
CREATE OR REPLACE FUNCTION millrace.enter_projection(p_handler_id text, p_lane int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_generation millrace.projection_generations;
BEGIN
    SELECT g.* INTO STRICT v_generation FROM millrace.projection_generations AS g WHERE g.handler_id OPERATOR(pg_catalog.=) p_handler_id;
    -- Entered before in the same transaction, it is there already.
    IF NOT pg_catalog.starts_with(pg_catalog.current_setting('search_path'), pg_catalog.format('%I, ', v_generation.schema_name)) THEN
        PERFORM pg_catalog.set_config(
            'search_path', pg_catalog.format('%I, %s', v_generation.schema_name, pg_catalog.current_setting('search_path')), true
        );
    END IF;
    RETURN CASE WHEN pg_catalog.texteq(v_generation.state, 'serving') THEN v_generation.silent_to[p_lane OPERATOR(pg_catalog.+) 1]
                ELSE 9223372036854775807 END;
END
$$;

REVOKE ALL ON FUNCTION millrace.enter_projection(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.enter_projection(text, int) TO millrace_publisher, millrace_consumer, millrace_admin;
