-- A generation of a projection, NULL as p_generation for the one that serves; MR026 where there is none.
CREATE OR REPLACE FUNCTION millrace.find_generation(p_projection text, p_generation int) RETURNS millrace.projection_generations
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_generation millrace.projection_generations;
BEGIN
    SELECT g.* INTO v_generation
    FROM millrace.projection_generations AS g
    WHERE g.projection = p_projection
      AND CASE WHEN p_generation IS NULL THEN g.state = 'serving' ELSE g.generation = p_generation END;
    IF v_generation.projection IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = CASE
                WHEN NOT EXISTS (SELECT FROM millrace.projections AS p WHERE p.projection = p_projection)
                    THEN format('there is no projection %L', p_projection)
                WHEN p_generation IS NULL THEN format('no generation of the projection %L serves yet', p_projection)
                ELSE format('the projection %L has no generation %s', p_projection, p_generation)
            END,
            HINT = 'A projection is registered by its first worker, or by register_projection; `millrace projections` lists them.';
    END IF;
    RETURN v_generation;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.find_generation(text, int) TO millrace_publisher, millrace_consumer, millrace_admin;
