-- The first step of a new generation: its number, its handler at the beginning of the log, its rows. Whoever asks for it makes its tables
-- afterwards, in the same transaction and with his own rights. One at a time for each projection.
--
-- p_reuses: where a generation of this version is there already that serves, is being built, or is kept, that one is answered, with is_new
-- false. The first of all serves at once, where nothing is inline: there is nothing better to read meanwhile. Of what it handles now, the
-- effects that a rebuild suppresses are those of events up to the end of the log as it is now.
--
-- It belongs to whoever asked for the first; what is inline stops the appends of everybody who does not write it, so that only an administrator
-- may begin with that.
CREATE OR REPLACE FUNCTION millrace.begin_generation(
    p_projection text, p_version int, p_mode text, p_published_in name, p_tables text, p_indexes text, p_functions text[],
    p_event_types text[], p_aggregate_types text[], p_lanes int, p_max_attempts int, p_first_wait_ms int, p_longest_wait_ms int,
    p_parked_limit int, p_purpose text, p_sample int, p_swaps_by_itself boolean, p_reuses boolean,
    OUT generation int, OUT schema_name name, OUT is_new boolean, OUT serves boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_projection millrace.projections;
    v_lanes      int;
    v_handler    text;
    v_outcome    text;
BEGIN
    IF (p_projection ~ '^[a-z][a-z0-9_]{0,39}$') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = format('%s is no name for a projection', coalesce(quote_literal(p_projection), 'NULL')),
            HINT = 'Give 1 to 40 small letters, digits and underscores, a letter first: it becomes a part of the name of a schema.';
    ELSIF (p_version >= 1) IS NOT TRUE OR (p_mode IN ('behind', 'inline')) IS NOT TRUE
          OR (p_purpose IN ('serve', 'verify')) IS NOT TRUE OR (p_sample BETWEEN 1 AND 1000) IS NOT TRUE
          OR p_purpose = 'serve' AND p_sample < 1000 OR p_tables IS NULL OR cardinality(p_functions) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format(
                'version %s, mode %s, purpose %s, a sample of %s in 1000, tables %s',
                coalesce(p_version::text, 'missing'), coalesce(p_mode, 'missing'), coalesce(p_purpose, 'missing'),
                coalesce(p_sample::text, 'missing'), coalesce(quote_literal(left(p_tables, 40)), 'missing')
            ),
            HINT = 'Give a version from 1, the mode behind or inline, and the statements that make the tables; only what verifies can be a sample.';
    END IF;

    PERFORM pg_advisory_xact_lock(x'4D52'::int, hashtext('generation of ' || p_projection));
    SELECT p.* INTO v_projection FROM millrace.projections AS p WHERE p.projection = p_projection;
    IF v_projection.projection IS NULL THEN
        IF p_mode = 'inline' AND NOT pg_has_role(millrace.acting_role(), 'millrace_admin', 'MEMBER') THEN
            RAISE EXCEPTION USING
                ERRCODE = '42501',
                MESSAGE = format('%I may not register the inline projection %L', millrace.acting_role(), p_projection),
                HINT = 'It has a say in everybody''s appends: register it as a member of millrace_admin, or let it be written behind.';
        ELSIF p_published_in IS NULL OR to_regnamespace(quote_ident(p_published_in)) IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR026',
                MESSAGE = format(
                    'there is no schema for the views of %L: %s', p_projection,
                    coalesce(quote_ident(p_published_in), 'the search_path names none')
                ),
                HINT = 'Give p_published_in, or a search_path with a schema that exists.';
        ELSIF p_projection ~ '^pg(_|$)' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR026',
                MESSAGE = format('%L is no name for a projection', p_projection),
                HINT = 'PostgreSQL keeps names of schemas that begin with pg_ for itself.';
        END IF;
        INSERT INTO millrace.projections (projection, mode, owner, published_in)
        VALUES (p_projection, p_mode, millrace.acting_role(), p_published_in)
        RETURNING * INTO v_projection;
    ELSIF v_projection.mode <> p_mode OR v_projection.published_in <> p_published_in THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = format(
                'the projection %L is %s and its views are in %I, not %s and %I', p_projection, v_projection.mode,
                v_projection.published_in, p_mode, p_published_in
            ),
            HINT = 'Neither can change: give it another name, or connect with the search_path that it was registered with.';
    END IF;

    PERFORM millrace.check_projection_owner(p_projection);
    IF p_reuses THEN
        SELECT g.generation, g.schema_name, false, false INTO generation, schema_name, is_new, serves
        FROM millrace.projection_generations AS g
        WHERE g.projection = p_projection AND g.version = p_version AND g.purpose = 'serve'
        ORDER BY g.state = 'serving' DESC, g.state = 'building' DESC, g.generation DESC
        LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    UPDATE millrace.projections AS p
    SET last_generation = p.last_generation + 1
    WHERE p.projection = p_projection
    RETURNING p.last_generation INTO generation;
    v_handler := p_projection || '@' || generation;
    schema_name := p_projection || '_g' || generation;
    is_new := true;
    serves := v_projection.serving IS NULL AND generation = 1 AND p_mode = 'behind';

    -- The lanes of two generations are compared, so they have the same ones.
    SELECT h.lanes INTO v_lanes
    FROM millrace.projection_generations AS g JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
    WHERE g.projection = p_projection
    ORDER BY g.generation DESC
    LIMIT 1;
    v_outcome := millrace.register_handler(
        v_handler, CASE WHEN p_functions IS NULL THEN 'swift' ELSE 'sql' END,
        CASE WHEN p_functions IS NOT NULL THEN format('%I.project', schema_name) END,
        p_event_types, p_aggregate_types, coalesce(v_lanes, p_lanes), 0, 'failures', p_max_attempts, p_first_wait_ms, p_longest_wait_ms,
        p_parked_limit
    );
    IF v_outcome <> 'registered' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = format('there is a handler %L already, which is of no projection', v_handler),
            HINT = 'Remove it (remove_handler), and begin again.';
    END IF;
    INSERT INTO millrace.projection_generations (
        projection, generation, version, handler_id, schema_name, tables, indexes, functions, purpose, state, sample, swaps_by_itself,
        silent_to, served_at
    ) VALUES (
        p_projection, generation, p_version, v_handler, schema_name, p_tables, p_indexes, p_functions, p_purpose,
        CASE WHEN serves THEN 'serving' ELSE 'building' END, p_sample, p_swaps_by_itself,
        array_fill(CASE WHEN serves THEN millrace.last_committed_position() ELSE 0 END, ARRAY[coalesce(v_lanes, p_lanes)]),
        CASE WHEN serves THEN clock_timestamp() END
    );
    IF serves THEN
        UPDATE millrace.projections AS p SET serving = begin_generation.generation WHERE p.projection = p_projection;
    END IF;
    INSERT INTO millrace.handler_actions (action, handler_id, details)
    VALUES ('build', v_handler, jsonb_build_object('version', p_version, 'purpose', p_purpose, 'sample', p_sample));
END
$$;

REVOKE ALL ON FUNCTION millrace.begin_generation(
    text, int, text, name, text, text, text[], text[], text[], int, int, int, int, int, text, int, boolean, boolean
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.begin_generation(
    text, int, text, name, text, text, text[], text[], text[], int, int, int, int, int, text, int, boolean, boolean
) TO millrace_consumer, millrace_admin;
