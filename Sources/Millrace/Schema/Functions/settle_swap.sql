-- Makes a generation the one that serves, and keeps the other: the step of swap_projection that writes Millrace's tables. Without p_force
-- only where hold_equal says that both are equal; otherwise answers why not. The other's workers cannot settle anything any more, and what
-- they have under way is undone.
CREATE OR REPLACE FUNCTION millrace.settle_swap(p_projection text, p_generation int, p_wait_ms int, p_force boolean, p_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
    v_projection millrace.projections;
    v_served     text;
    v_why        text;
    v_silent_to  bigint[];
BEGIN
    -- An older snapshot does not see what the other has handled since.
    PERFORM millrace.check_isolation();
    PERFORM millrace.check_projection_owner(p_projection);
    IF v_generation.purpose <> 'serve' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = format('generation %s of %L is there to be compared, and never serves', p_generation, p_projection),
            HINT = 'Ask for another with rebuild_projection.';
    END IF;
    IF p_force THEN
        SELECT p.* INTO STRICT v_projection FROM millrace.projections AS p WHERE p.projection = p_projection FOR NO KEY UPDATE;
        IF v_projection.mode = 'inline' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR026',
                MESSAGE = format('%L is inline, and what is behind cannot serve', p_projection),
                HINT = 'Let a process that has its version build it; it is swapped when it is equal.';
        ELSIF v_projection.serving = p_generation THEN
            RETURN 'it serves already';
        END IF;
        PERFORM FROM millrace.handler_lanes AS l
        JOIN millrace.projection_generations AS g ON g.handler_id = l.handler_id
        WHERE g.projection = p_projection AND g.generation IN (p_generation, v_projection.serving)
        ORDER BY l.handler_id, l.lane
        FOR UPDATE OF l;
    ELSE
        v_why := millrace.hold_equal(p_projection, p_generation, p_wait_ms);
        IF v_why IS NOT NULL THEN
            RETURN v_why;
        END IF;
        SELECT p.* INTO STRICT v_projection FROM millrace.projections AS p WHERE p.projection = p_projection;
    END IF;

    SELECT g.handler_id INTO v_served
    FROM millrace.projection_generations AS g WHERE g.projection = p_projection AND g.generation = v_projection.serving;
    SELECT array_agg(greatest(l.checkpoint, o.checkpoint, s.silent_to) ORDER BY l.lane) INTO STRICT v_silent_to
    FROM millrace.handler_lanes AS l
    LEFT JOIN millrace.handler_lanes AS o ON o.handler_id = v_served AND o.lane = l.lane
    LEFT JOIN LATERAL (
        SELECT g.silent_to[l.lane + 1] AS silent_to FROM millrace.projection_generations AS g WHERE g.handler_id = v_served
    ) AS s ON true
    WHERE l.handler_id = v_generation.handler_id;

    UPDATE millrace.projection_generations AS g
    SET state = 'kept', replaced_at = clock_timestamp()
    WHERE g.handler_id = v_served;
    UPDATE millrace.projection_generations AS g
    SET state = 'serving', served_at = clock_timestamp(), replaced_at = NULL, silent_to = v_silent_to
    WHERE g.projection = p_projection AND g.generation = p_generation;
    UPDATE millrace.projections AS p SET serving = p_generation WHERE p.projection = p_projection;

    -- Whoever has a lane of what does not go on cannot commit any more. What was written inline has everything up to now.
    UPDATE millrace.handler_lanes AS l
    SET token = l.token + 1, worker_id = NULL, leased_until = NULL,
        checkpoint = CASE WHEN v_projection.mode = 'inline' AND l.handler_id = v_served
            THEN greatest(l.checkpoint, v_silent_to[l.lane + 1]) ELSE l.checkpoint END
    WHERE l.handler_id = v_served OR v_projection.mode = 'inline' AND l.handler_id = v_generation.handler_id;
    UPDATE millrace.event_handlers AS h
    SET state = 'paused', state_since = clock_timestamp(),
        state_reason = CASE WHEN h.handler_id = v_served THEN format('generation %s serves', p_generation) ELSE 'appends write it' END
    WHERE h.handler_id = v_served OR v_projection.mode = 'inline' AND h.handler_id = v_generation.handler_id;
    -- It was paused when it was replaced; what somebody has paused since it is being built stays so.
    IF v_projection.mode = 'behind' AND v_generation.state = 'kept' THEN
        UPDATE millrace.event_handlers AS h
        SET state = 'active', state_reason = NULL, state_since = clock_timestamp()
        WHERE h.handler_id = v_generation.handler_id AND h.state = 'paused';
    END IF;
    INSERT INTO millrace.handler_actions (action, handler_id, reason, details)
    VALUES ('swap', v_generation.handler_id, p_reason, jsonb_build_object('replaced', v_projection.serving, 'forced', p_force));
    PERFORM millrace.ring_handlers(v_generation.handler_id);
    PERFORM millrace.ring_handlers(v_served) WHERE v_served IS NOT NULL;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION millrace.settle_swap(text, int, int, boolean, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.settle_swap(text, int, int, boolean, text) TO millrace_consumer, millrace_admin;
