-- Refuses what would write a read model twice, or take away what it is kept by (MR026), where a handler is that of a projection.
CREATE OR REPLACE FUNCTION millrace.refuse_generation(p_handler_id text, p_what text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_generation millrace.projection_generations;
BEGIN
    SELECT g.* INTO v_generation FROM millrace.projection_generations AS g WHERE g.handler_id = p_handler_id;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = format('%L writes generation %s of the projection %L, and is not to be %s', p_handler_id, v_generation.generation,
                             v_generation.projection, p_what),
            HINT = 'Build the projection anew (rebuild_projection, `millrace projections rebuild`), or drop the generation (drop_generation).';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_generation(text, text) FROM PUBLIC;
