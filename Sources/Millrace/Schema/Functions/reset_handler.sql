-- Sends a handler to a position: what lies behind it is handled again, or for the first time; what lies before is not, whatever was done of
-- it. Streams that wait go on waiting where their head lies before it. Answers how many lanes move from where to where, how many waiting
-- streams lose their head to it, and how many events are handled again and left out, by the looks of the 100,000 that come first
-- (is_exact: those were all). With p_dry_run nothing else happens.
--
-- Every lane gets a new token, so whatever its workers have under way is not committed any more; they lease the lanes anew.
CREATE OR REPLACE FUNCTION millrace.reset_handler(p_handler_id text, p_position bigint, p_dry_run boolean DEFAULT false)
RETURNS TABLE (
    lanes_moved int, checkpoint_from bigint, checkpoint_to bigint, parked_dropped bigint, events_again bigint, events_left_out bigint,
    is_exact boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    c_counted  CONSTANT int := 100000;
    v_handler  millrace.event_handlers := millrace.find_handler(p_handler_id, NOT p_dry_run);
    -- Of an event, because the position of one that is yet to come would be skipped.
    v_position bigint := least(p_position, millrace.last_committed_position());
BEGIN
    PERFORM millrace.refuse_generation(p_handler_id, 'reset');
    IF (v_position >= 0) IS NOT TRUE OR p_position IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_position is %s', coalesce(p_position::text, 'missing')),
            HINT = 'Give the position after which it is to go on, 0 for the whole log.';
    END IF;

    IF NOT p_dry_run THEN
        PERFORM FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id ORDER BY l.lane FOR UPDATE;
    END IF;
    SELECT (count(*) FILTER (WHERE l.checkpoint <> v_position))::int, min(l.checkpoint), v_position,
           (SELECT count(*) FROM millrace.parked_events AS p WHERE p.handler_id = p_handler_id AND p.position > v_position)
    INTO STRICT lanes_moved, checkpoint_from, checkpoint_to, parked_dropped
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id;
    SELECT b.again, b.left_out, b.is_exact INTO STRICT events_again, events_left_out, is_exact
    FROM millrace.events_between(p_handler_id, v_position, c_counted) AS b;
    RETURN NEXT;
    IF p_dry_run THEN
        RETURN;
    END IF;

    INSERT INTO millrace.handler_actions (action, handler_id, details)
    SELECT 'reset', p_handler_id,
           jsonb_build_object('to', v_position, 'from', jsonb_agg(l.checkpoint ORDER BY l.lane), 'parked_dropped', parked_dropped)
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id;
    UPDATE millrace.handler_lanes AS l
    SET checkpoint = v_position, token = l.token + 1, worker_id = NULL, leased_until = NULL, moved_at = clock_timestamp(), stored_at = NULL
    WHERE l.handler_id = p_handler_id;
    DELETE FROM millrace.parked_events AS p WHERE p.handler_id = p_handler_id AND p.position > v_position;
    DELETE FROM millrace.handled_ahead AS a WHERE a.handler_id = p_handler_id;
    PERFORM millrace.skip_to(p_handler_id, v_position);

    -- What still waits was not skipped: it is counted when it is handled.
    WITH still AS MATERIALIZED (
        SELECT p.aggregate_type, p.aggregate_id, p.version AS head, e.event_type, e.version
        FROM millrace.parked_events AS p
        JOIN millrace.streams AS s ON s.aggregate_type = p.aggregate_type AND s.aggregate_id = p.aggregate_id
        JOIN millrace.events AS e
            ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id AND e.version >= p.version
            AND e.created_at BETWEEN s.first_event_at AND s.last_event_at
        WHERE p.handler_id = p_handler_id AND e.id <= v_position
          AND (v_handler.event_types IS NULL OR e.event_type = ANY (v_handler.event_types))
    ), waiting AS (
        UPDATE millrace.parked_events AS p
        SET waiting = n.waiting
        FROM (
            SELECT t.aggregate_type, t.aggregate_id, count(*) FILTER (WHERE t.version > t.head) AS waiting
            FROM still AS t
            GROUP BY t.aggregate_type, t.aggregate_id
        ) AS n
        WHERE p.handler_id = p_handler_id AND p.aggregate_type = n.aggregate_type AND p.aggregate_id = n.aggregate_id
    )
    UPDATE millrace.handler_counts AS c
    SET skipped = c.skipped - n.events
    FROM (SELECT t.event_type, count(*) AS events FROM still AS t GROUP BY t.event_type) AS n
    WHERE c.handler_id = p_handler_id AND c.lane = -1 AND c.event_type = n.event_type;
    PERFORM millrace.ring_handlers(p_handler_id);
END
$$;

REVOKE ALL ON FUNCTION millrace.reset_handler(text, bigint, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.reset_handler(text, bigint, boolean) TO millrace_admin;
