-- The first step of process_events_batch: the events with these ids, each with the handlers it concerns, for each handler in the order of
-- positions. function is NULL where nothing is to be done: there is no such event, no handler for it, or it is not active.
CREATE OR REPLACE FUNCTION millrace.events_to_process(p_event_ids uuid[], p_handler_id text)
RETURNS TABLE (event_id uuid, handler_id text, function text, current_types text[], event millrace.events)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_limit     int := (SELECT s.max_batch_events FROM millrace.store AS s);
    v_positions bigint[];
BEGIN
    IF p_event_ids IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011', MESSAGE = 'p_event_ids is missing', HINT = 'Give the ids of the events to process.';
    ELSIF cardinality(p_event_ids) > v_limit THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR003',
            MESSAGE = format('p_event_ids has %s elements; the limit is %s', cardinality(p_event_ids), v_limit),
            HINT = 'Process them in several calls.';
    END IF;
    PERFORM millrace.handling_begins();
    IF p_handler_id IS NOT NULL THEN
        PERFORM millrace.find_sql_handler(p_handler_id);
    END IF;

    v_positions := ARRAY(SELECT f.id FROM millrace.find_events(p_event_ids) AS f ORDER BY f.id);
    RETURN QUERY
    SELECT n.event_id, coalesce(h.handler_id, p_handler_id), h.function, h.current_types, f.event
    FROM (SELECT DISTINCT u.event_id FROM unnest(p_event_ids) AS u (event_id)) AS n
    LEFT JOIN (
        SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e AS event
        FROM millrace.events AS e
        WHERE e.id = ANY (v_positions) AND e.created_at >= millrace.stored_from(v_positions[1] - 1)
    ) AS f ON f.event_id = n.event_id
    LEFT JOIN millrace.event_handlers AS h
        ON h.kind = 'sql' AND h.state = 'active' AND (p_handler_id IS NULL OR h.handler_id = p_handler_id)
        AND (h.event_types IS NULL OR f.event_type = ANY (h.event_types))
        AND (h.aggregate_types IS NULL OR f.aggregate_type = ANY (h.aggregate_types))
        AND f.id IS NOT NULL
        -- What writes a projection follows the lanes, and nothing ahead of them.
        AND NOT EXISTS (SELECT FROM millrace.projection_generations AS g WHERE g.handler_id = h.handler_id)
    ORDER BY h.handler_id, f.id;
END
$$;

REVOKE ALL ON FUNCTION millrace.events_to_process(uuid[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.events_to_process(uuid[], text) TO millrace_consumer, millrace_admin;
