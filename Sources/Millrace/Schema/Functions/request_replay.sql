-- Asks for a range of the log, both ends included, to be handled once more by a handler, beside what it does anyway: its checkpoints stay
-- where they are. NULL as p_last_position is as far as it has come. One row: the replay, its range, and how many of the handler's events
-- lie in it, by the looks of the 100,000 that come first (is_exact: those were all). With p_dry_run replay_id is NULL and nothing else
-- happens.
--
-- The range ends with the slowest lane's checkpoint: what the handler has not come to yet would be handled out of order, and twice. One
-- replay of a handler at a time (MR020), because two would bring the same events out of order.
CREATE OR REPLACE FUNCTION millrace.request_replay(
    p_handler_id text, p_first_position bigint, p_last_position bigint DEFAULT NULL, p_dry_run boolean DEFAULT false
) RETURNS TABLE (replay_id bigint, first_position bigint, last_position bigint, events bigint, is_exact boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    c_counted CONSTANT int := 100000;
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id, NOT p_dry_run);
    v_reached bigint;
    v_open    bigint;
    v_since   timestamptz;
BEGIN
    PERFORM millrace.refuse_generation(p_handler_id, 'replayed');
    IF (p_first_position >= 0) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_first_position is %s', coalesce(p_first_position::text, 'missing')),
            HINT = 'Give the position of the first event to be handled once more, 0 for the whole log.';
    ELSIF p_last_position < p_first_position THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_last_position is %s, and p_first_position %s', p_last_position, p_first_position),
            HINT = 'Give the first position first.';
    END IF;
    SELECT min(l.checkpoint) INTO STRICT v_reached FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id;
    IF p_first_position > v_reached THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_first_position is %s, and the handler %L has come to %s', p_first_position, p_handler_id, v_reached),
            HINT = 'Only what is handled can be handled once more; what lies behind it is handled anyway.';
    END IF;
    SELECT r.replay_id INTO v_open FROM millrace.list_replays(p_handler_id, NULL) AS r WHERE r.state = 'open' ORDER BY r.replay_id LIMIT 1;
    IF v_open IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR020',
            MESSAGE = format('replay %s of the handler %L is not finished', v_open, p_handler_id),
            HINT = format('Wait for its end (SELECT * FROM millrace.list_replays(%L)), or end it: SELECT millrace.cancel_replay(%s).',
                          p_handler_id, v_open);
    END IF;

    v_since := millrace.stored_from(p_first_position - 1);
    first_position := p_first_position;
    last_position := least(p_last_position, v_reached);
    WITH looked AS MATERIALIZED (
        SELECT e.event_type, e.aggregate_type
        FROM millrace.events AS e
        WHERE e.id >= p_first_position AND e.id <= request_replay.last_position
          AND e.created_at >= v_since
        ORDER BY e.id
        LIMIT c_counted + 1
    )
    SELECT count(*) FILTER (
               WHERE (v_handler.event_types IS NULL OR n.event_type = ANY (v_handler.event_types))
                 AND (v_handler.aggregate_types IS NULL OR n.aggregate_type = ANY (v_handler.aggregate_types))
           ), count(*) <= c_counted
    INTO STRICT events, is_exact
    FROM looked AS n;

    IF NOT p_dry_run THEN
        INSERT INTO millrace.handler_replays AS r (handler_id, first_position, last_position)
        VALUES (p_handler_id, request_replay.first_position, request_replay.last_position)
        RETURNING r.replay_id INTO STRICT replay_id;
        INSERT INTO millrace.handler_replay_lanes (replay_id, lane, checkpoint)
        SELECT request_replay.replay_id, l.lane, p_first_position - 1 FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id;
        INSERT INTO millrace.handler_actions (action, handler_id, details)
        VALUES ('replay', p_handler_id, jsonb_build_object('replay_id', replay_id, 'first', first_position, 'last', last_position));
        PERFORM millrace.ring_handlers(p_handler_id);
    END IF;
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION millrace.request_replay(text, bigint, bigint, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.request_replay(text, bigint, bigint, boolean) TO millrace_admin;
