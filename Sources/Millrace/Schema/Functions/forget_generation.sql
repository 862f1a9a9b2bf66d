-- Forgets a generation that does not serve: its handler, its checkpoints and counters. Answers the schema that is to be dropped.
CREATE OR REPLACE FUNCTION millrace.forget_generation(p_projection text, p_generation int) RETURNS name
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
BEGIN
    PERFORM millrace.check_projection_owner(p_projection);
    PERFORM FROM millrace.projections AS p WHERE p.projection = p_projection FOR NO KEY UPDATE;
    IF (SELECT p.serving = p_generation FROM millrace.projections AS p WHERE p.projection = p_projection) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = format('generation %s of %L serves', p_generation, p_projection),
            HINT = 'Let another serve first (rebuild_projection, roll_back_projection).';
    END IF;
    PERFORM set_config('lock_timeout', '5s', true);
    -- What its workers have under way cannot be settled without its lanes.
    DELETE FROM millrace.event_handlers AS h WHERE h.handler_id = v_generation.handler_id;
    INSERT INTO millrace.handler_actions (action, handler_id) VALUES ('drop', v_generation.handler_id);
    PERFORM millrace.ring_handlers(v_generation.handler_id);
    RETURN v_generation.schema_name;
END
$$;

REVOKE ALL ON FUNCTION millrace.forget_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.forget_generation(text, int) TO millrace_consumer, millrace_admin;
