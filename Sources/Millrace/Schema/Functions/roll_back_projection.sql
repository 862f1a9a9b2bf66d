-- Sends a generation that is kept after the one that serves again: it handles what came since it was replaced, and takes its place when it is
-- equal to it, as one that is newly built. The newest that is kept unless told otherwise; answers which.
CREATE OR REPLACE FUNCTION millrace.roll_back_projection(p_projection text, p_generation int DEFAULT NULL, p_reason text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_generation millrace.projection_generations;
BEGIN
    PERFORM millrace.find_generation(p_projection, p_generation);
    SELECT g.* INTO v_generation
    FROM millrace.projection_generations AS g
    WHERE g.projection = p_projection AND g.state = 'kept' AND (p_generation IS NULL OR g.generation = p_generation)
    ORDER BY g.replaced_at DESC
    LIMIT 1
    FOR UPDATE;
    IF v_generation.projection IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = CASE WHEN p_generation IS NULL THEN format('no generation of %L is kept', p_projection)
                           ELSE format('generation %s of %L is not kept: it serves, or is being built', p_generation, p_projection) END,
            HINT = 'Only what has served before can be gone back to; `millrace projections` lists the generations.';
    END IF;
    UPDATE millrace.projection_generations AS g
    SET state = 'building', swaps_by_itself = true
    WHERE g.handler_id = v_generation.handler_id;
    UPDATE millrace.event_handlers AS h
    SET state = 'active', state_reason = NULL, state_since = clock_timestamp()
    WHERE h.handler_id = v_generation.handler_id;
    INSERT INTO millrace.handler_actions (action, handler_id, reason) VALUES ('roll_back', v_generation.handler_id, p_reason);
    PERFORM millrace.ring_handlers(v_generation.handler_id);
    RETURN v_generation.generation;
END
$$;

REVOKE ALL ON FUNCTION millrace.roll_back_projection(text, int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.roll_back_projection(text, int, text) TO millrace_admin;
