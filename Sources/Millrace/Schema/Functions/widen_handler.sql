-- Lets a handler have more events than it was registered with, where no lane has passed any of those that are new to it: then its checkpoints
-- say as much of them as of the others. Otherwise MR015. Answers whether there was anything to widen.
--
-- Whoever has lanes with the old filter would go past the new events: every lane gets a new token, and is leased anew by who has the new one.
CREATE OR REPLACE FUNCTION millrace.widen_handler(
    p_handler         millrace.event_handlers,
    p_event_types     text[],
    p_aggregate_types text[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_passed bigint;
    v_up_to  bigint;
    v_missed record;
BEGIN
    IF (p_handler.event_types, p_handler.aggregate_types) IS NOT DISTINCT FROM (p_event_types, p_aggregate_types) THEN
        RETURN false;
    END IF;
    IF (p_event_types IS NULL OR p_handler.event_types <@ p_event_types) IS NOT TRUE
       OR (p_aggregate_types IS NULL OR p_handler.aggregate_types <@ p_aggregate_types) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR015',
            MESSAGE = format(
                'the handler %L is registered otherwise: with event types %s and aggregate types %s, and not with %s and %s',
                p_handler.handler_id, coalesce(p_handler.event_types::text, 'all'), coalesce(p_handler.aggregate_types::text, 'all'),
                coalesce(p_event_types::text, 'all'), coalesce(p_aggregate_types::text, 'all')
            ),
            HINT = 'Its checkpoints speak of those events, and it can only be given more: give other code another name, or change it back.';
    END IF;

    -- What a lane's transaction has under way is waited for; the statements that follow see what it came to.
    PERFORM FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler.handler_id ORDER BY l.lane FOR UPDATE;
    SELECT greatest(max(l.checkpoint), (
        SELECT max(a.position) FROM millrace.handled_ahead AS a WHERE a.handler_id = p_handler.handler_id
    )) INTO STRICT v_passed
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler.handler_id;
    -- Mostly there is none of them in the whole log, which the counts say at once; the counts up to a position may have to be counted.
    FOREACH v_up_to IN ARRAY ARRAY[9223372036854775807, v_passed] LOOP
        SELECT t.event_type, t.aggregate_type, t.events INTO v_missed
        FROM millrace.events_by_type(v_up_to) AS t
        WHERE (p_event_types IS NULL OR t.event_type = ANY (p_event_types))
          AND (p_aggregate_types IS NULL OR t.aggregate_type = ANY (p_aggregate_types))
          AND NOT ((p_handler.event_types IS NULL OR t.event_type = ANY (p_handler.event_types))
                   AND (p_handler.aggregate_types IS NULL OR t.aggregate_type = ANY (p_handler.aggregate_types)))
        ORDER BY t.event_type, t.aggregate_type
        LIMIT 1;
        EXIT WHEN NOT FOUND;
    END LOOP;
    IF v_missed.event_type IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR015',
            MESSAGE = format(
                'the handler %L cannot be given events of the type %L as well: a lane of it has passed position %s, and so %s of them, of the aggregate type %L, which it would never get',
                p_handler.handler_id, v_missed.event_type, v_passed, v_missed.events, v_missed.aggregate_type
            ),
            HINT = 'Give other code another name, which begins where you say; or reset_handler to a position before the first of them, after which all is handled again.';
    END IF;

    UPDATE millrace.event_handlers AS h
    SET event_types = p_event_types, aggregate_types = p_aggregate_types
    WHERE h.handler_id = p_handler.handler_id;
    UPDATE millrace.handler_lanes AS l
    SET token = l.token + 1, worker_id = NULL, leased_until = NULL
    WHERE l.handler_id = p_handler.handler_id;
    PERFORM millrace.ring_handlers(p_handler.handler_id);
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION millrace.widen_handler(millrace.event_handlers, text[], text[]) FROM PUBLIC;
