-- How far a lane's checkpoint may move, because every event of its that lies before is handled or the head of a stream that waits: over at
-- most c_most events of the log, never beyond the horizon, and not over one that would have to be counted as waiting; those the lane's own
-- scan finds.
CREATE OR REPLACE FUNCTION millrace.handled_up_to(p_handler_id text, p_lane int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_at_once CONSTANT int := 256;
    c_most    CONSTANT int := 10240;
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_after   bigint;
    v_bounds  record;
    v_page    record;
BEGIN
    SELECT l.checkpoint INTO STRICT v_after FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id AND l.lane = p_lane;
    SELECT b.up_to, b.stored_from, b.stored_before, b.open_since INTO STRICT v_bounds FROM millrace.page_bounds(v_after) AS b;
    FOR v_pages IN 1 .. c_most / c_at_once LOOP
        WITH page AS MATERIALIZED (
            SELECT e.id,
                   (v_handler.event_types IS NULL OR e.event_type = ANY (v_handler.event_types))
                   AND (v_handler.aggregate_types IS NULL OR e.aggregate_type = ANY (v_handler.aggregate_types))
                   AND millrace.lane_of(e.aggregate_type, e.aggregate_id, v_handler.lanes) = p_lane
                   AND e.id > coalesce(greatest((
                       SELECT a.position FROM millrace.handled_ahead AS a
                       WHERE a.handler_id = p_handler_id AND a.aggregate_type = e.aggregate_type AND a.aggregate_id = e.aggregate_id
                   ), (
                       SELECT p.position FROM millrace.parked_events AS p
                       WHERE p.handler_id = p_handler_id AND p.aggregate_type = e.aggregate_type AND p.aggregate_id = e.aggregate_id
                   )), 0) AS is_open
            FROM millrace.events AS e
            WHERE e.id > v_after AND e.id <= v_bounds.up_to
              AND (e.created_at >= v_bounds.open_since
                   OR e.created_at >= v_bounds.stored_from AND e.created_at < v_bounds.stored_before)
            ORDER BY e.id
            LIMIT c_at_once
        )
        SELECT max(p.id) FILTER (WHERE o.first IS NULL OR p.id < o.first) AS passed, o.first IS NULL AND count(*) = c_at_once AS may_go_on
        INTO v_page
        FROM page AS p
        CROSS JOIN (SELECT min(n.id) AS first FROM page AS n WHERE n.is_open) AS o
        GROUP BY o.first;
        v_after := coalesce(v_page.passed, v_after);
        EXIT WHEN v_page.may_go_on IS NOT TRUE;
    END LOOP;
    RETURN v_after;
END
$$;

REVOKE ALL ON FUNCTION millrace.handled_up_to(text, int) FROM PUBLIC;
