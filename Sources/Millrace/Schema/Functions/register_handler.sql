-- Makes a handler known, with its lanes, or finds it as it was: registered or present. What tells which events it gets, in which lanes,
-- does not change, because its checkpoints speak of exactly those: another filter or another number of lanes is refused (MR015), but for more
-- events where it has passed none of them: widened (see widen_handler). How it retries, what is audited and how much may be parked is taken over
-- each time.
--
-- p_starts_after is the position it begins after where it is new; NULL is the end of the log as it is now.
CREATE OR REPLACE FUNCTION millrace.register_handler(
    p_handler_id      text,
    p_kind            text,
    p_function        text,
    p_event_types     text[],
    p_aggregate_types text[],
    p_lanes           int,
    p_starts_after    bigint,
    p_audit           text,
    p_max_attempts    int,
    p_first_wait_ms   int,
    p_longest_wait_ms int,
    p_parked_limit    int
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_event_types     text[] := (SELECT array_agg(DISTINCT t.name COLLATE "C" ORDER BY t.name COLLATE "C")
                                 FROM unnest(p_event_types) AS t (name));
    v_aggregate_types text[] := (SELECT array_agg(DISTINCT t.name COLLATE "C" ORDER BY t.name COLLATE "C")
                                 FROM unnest(p_aggregate_types) AS t (name));
    v_handler millrace.event_handlers;
    v_start   bigint;
    v_outcome text := 'present';
BEGIN
    IF (char_length(p_handler_id) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_handler_id', p_handler_id, NULL);
    END IF;
    PERFORM millrace.check_handler(
        p_kind, p_function, p_event_types, p_aggregate_types, p_lanes, p_audit, p_max_attempts, p_first_wait_ms, p_longest_wait_ms,
        p_parked_limit
    );

    INSERT INTO millrace.event_handlers (
        handler_id, kind, function, event_types, aggregate_types, lanes, audit, max_attempts, first_wait_ms, longest_wait_ms,
        parked_limit
    ) VALUES (
        p_handler_id, p_kind, p_function, v_event_types, v_aggregate_types, p_lanes, p_audit, p_max_attempts, p_first_wait_ms,
        p_longest_wait_ms, p_parked_limit
    ) ON CONFLICT ON CONSTRAINT event_handlers_pkey DO NOTHING;

    IF FOUND THEN
        v_start := least(coalesce(p_starts_after, 9223372036854775807), millrace.last_committed_position());
        IF v_start < 0 THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR011',
                MESSAGE = format('p_starts_after is %s', p_starts_after),
                HINT = 'Give the position of an event, 0 for the whole log, or NULL for what comes from now on.';
        END IF;
        INSERT INTO millrace.handler_lanes (handler_id, lane, checkpoint)
        SELECT p_handler_id, n, v_start FROM generate_series(0, p_lanes - 1) AS n;
        PERFORM millrace.skip_to(p_handler_id, v_start);
        RETURN 'registered';
    END IF;

    v_handler := millrace.find_handler(p_handler_id, true);
    IF (v_handler.kind, v_handler.lanes) IS DISTINCT FROM (p_kind, p_lanes) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR015',
            MESSAGE = format(
                'the handler %L is registered otherwise: as %s with %s lanes, and not as %s with %s',
                p_handler_id, v_handler.kind, v_handler.lanes, p_kind, p_lanes
            ),
            HINT = 'Its checkpoints speak of those lanes: give other code another name, or change it back.';
    END IF;
    IF millrace.widen_handler(v_handler, v_event_types, v_aggregate_types) THEN
        v_outcome := 'widened';
    END IF;

    UPDATE millrace.event_handlers AS h
    SET function = p_function, audit = p_audit, max_attempts = p_max_attempts, first_wait_ms = p_first_wait_ms,
        longest_wait_ms = p_longest_wait_ms, parked_limit = p_parked_limit
    WHERE h.handler_id = p_handler_id
      AND (h.function, h.audit, h.max_attempts, h.first_wait_ms, h.longest_wait_ms, h.parked_limit)
          IS DISTINCT FROM (p_function, p_audit, p_max_attempts, p_first_wait_ms, p_longest_wait_ms, p_parked_limit);
    RETURN v_outcome;
END
$$;

REVOKE ALL ON FUNCTION millrace.register_handler(text, text, text, text[], text[], int, bigint, text, int, int, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.register_handler(text, text, text, text[], text[], int, bigint, text, int, int, int, int)
    TO millrace_consumer, millrace_admin;
