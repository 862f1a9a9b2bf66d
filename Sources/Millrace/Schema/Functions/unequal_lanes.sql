-- What a generation has not handled of what the serving one has, or of what is in the log where the projection is inline: the number of
-- events, over all lanes, the number of lanes that are ahead instead, and by lane where both would be if there were none. At most
-- 10,000 events of the log are looked at: behind is NULL where there are more.
CREATE OR REPLACE FUNCTION millrace.unequal_lanes(
    p_projection text, p_generation int, OUT behind bigint, OUT ahead bigint, OUT positions bigint[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    c_looked  CONSTANT int := 10000;
    v_handler millrace.event_handlers;
    v_served  text;
    v_mode    text;
    v_sample  int;
    v_first   bigint;
    v_last    bigint;
    v_since   timestamptz;
BEGIN
    SELECT h.* INTO STRICT v_handler
    FROM millrace.event_handlers AS h
    WHERE h.handler_id = (millrace.find_generation(p_projection, p_generation)).handler_id;
    SELECT g.handler_id, p.mode INTO STRICT v_served, v_mode
    FROM millrace.projections AS p
    LEFT JOIN millrace.projection_generations AS g ON g.projection = p.projection AND g.generation = p.serving
    WHERE p.projection = p_projection;
    SELECT g.sample INTO STRICT v_sample
    FROM millrace.projection_generations AS g WHERE g.projection = p_projection AND g.generation = p_generation;

    SELECT min(l.checkpoint) INTO v_first FROM millrace.handler_lanes AS l WHERE l.handler_id = v_handler.handler_id;
    IF v_mode = 'inline' OR v_served IS NULL THEN
        -- A position that the sequence has given may come again after a crash: that of an event, whichever it is, does not.
        v_last := coalesce((SELECT max(e.id) FROM millrace.events AS e WHERE e.created_at >= millrace.stored_from(v_first)), v_first);
        positions := array_fill(greatest(v_first, v_last), ARRAY[v_handler.lanes]);
    ELSE
        SELECT array_agg(l.checkpoint ORDER BY l.lane), max(l.checkpoint) INTO STRICT positions, v_last
        FROM millrace.handler_lanes AS l
        WHERE l.handler_id = v_served;
    END IF;

    v_since := millrace.stored_from(v_first);
    WITH looked AS MATERIALIZED (
        SELECT e.id, e.event_type, e.aggregate_type, e.aggregate_id
        FROM millrace.events AS e
        WHERE e.id > v_first AND e.id <= v_last AND e.created_at >= v_since
        ORDER BY e.id
        LIMIT c_looked + 1
    ), mine AS MATERIALIZED (
        SELECT n.id, millrace.lane_of(n.aggregate_type, n.aggregate_id, v_handler.lanes) AS lane
        FROM looked AS n
        WHERE (v_handler.event_types IS NULL OR n.event_type = ANY (v_handler.event_types))
          AND (v_handler.aggregate_types IS NULL OR n.aggregate_type = ANY (v_handler.aggregate_types))
          AND (v_sample = 1000 OR millrace.lane_of(n.aggregate_type, n.aggregate_id, 1000) < v_sample)
    )
    SELECT CASE WHEN (SELECT count(*) FROM looked) <= c_looked
               THEN count(*) FILTER (WHERE n.id > l.checkpoint AND n.id <= unequal_lanes.positions[l.lane + 1])
           END,
           count(DISTINCT l.lane) FILTER (WHERE l.checkpoint > unequal_lanes.positions[l.lane + 1])
    INTO behind, ahead
    FROM millrace.handler_lanes AS l
    LEFT JOIN mine AS n ON n.lane = l.lane
    WHERE l.handler_id = v_handler.handler_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.unequal_lanes(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.unequal_lanes(text, int) TO millrace_consumer, millrace_admin;
