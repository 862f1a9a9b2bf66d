-- Asks for a new generation of a projection, from what the newest one of the version was made with; answers its number. Its workers, or the
-- daemon where functions write it, build it beside the one that serves. p_version is that of the serving generation unless told otherwise.
--
-- p_purpose verify: it never serves, and is there to be compared with the one that does (differing_rows) and dropped; then p_sample streams of a
-- thousand may do.
CREATE OR REPLACE FUNCTION millrace.rebuild_projection(
    p_projection text, p_version int DEFAULT NULL, p_swaps_by_itself boolean DEFAULT true, p_purpose text DEFAULT 'serve',
    p_sample int DEFAULT 1000
) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_made  millrace.projection_generations;
    v_like  pg_catalog.record;
    v_begun pg_catalog.record;
BEGIN
    IF p_version IS NULL THEN
        v_made := millrace.find_generation(p_projection, NULL);
    ELSE
        SELECT g.* INTO v_made
        FROM millrace.projection_generations AS g
        WHERE g.projection OPERATOR(pg_catalog.=) p_projection AND g.version OPERATOR(pg_catalog.=) p_version
        ORDER BY g.generation DESC
        LIMIT 1;
        IF v_made.projection IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR026',
                MESSAGE = pg_catalog.format('the projection %L has no generation of version %s', p_projection, p_version),
                HINT = 'Start a process that has this version: it registers it, and builds it.';
        END IF;
    END IF;
    SELECT p.mode, p.published_in, h.event_types, h.current_types, h.aggregate_types, h.lanes, h.max_attempts, h.first_wait_ms, h.longest_wait_ms,
           h.parked_limit
    INTO STRICT v_like
    FROM millrace.projections AS p, millrace.event_handlers AS h
    WHERE p.projection OPERATOR(pg_catalog.=) p_projection AND h.handler_id OPERATOR(pg_catalog.=) v_made.handler_id;
    SELECT b.generation INTO STRICT v_begun
    FROM millrace.begin_generation(
        p_projection, v_made.version, v_like.mode, v_like.published_in, v_made.tables, v_made.indexes, v_made.functions,
        CASE WHEN v_made.functions IS NULL THEN v_like.event_types ELSE millrace.stored_types(v_like.current_types) END,
        v_like.aggregate_types, v_like.lanes, v_like.max_attempts, v_like.first_wait_ms, v_like.longest_wait_ms,
        v_like.parked_limit, p_purpose, p_sample, p_swaps_by_itself, false
    ) AS b;
    PERFORM millrace.set_current_types(pg_catalog.format('%s@%s', p_projection, v_begun.generation), v_like.current_types);
    PERFORM millrace.make_generation(p_projection, v_begun.generation);
    RETURN v_begun.generation;
END
$$;

REVOKE ALL ON FUNCTION millrace.rebuild_projection(text, int, boolean, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.rebuild_projection(text, int, boolean, text, int) TO millrace_consumer, millrace_admin;
