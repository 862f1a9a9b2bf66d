-- What lies behind a lane's checkpoint, up to the horizon, as read_page has it for the whole log: at least one row, with how far was looked
-- (scanned_to, of a committed event) and whether there is nothing more; the event is NULL where nothing was found. waits: its stream waits,
-- and it waits behind. What process_event has brought further is left out. At most p_limit events come back, out of a number that has them
-- in it where each lane has its share, and nothing else is in the log.
CREATE OR REPLACE FUNCTION millrace.read_lane(p_handler_id text, p_lane int, p_limit int)
RETURNS TABLE (scanned_to bigint, is_last boolean, waits boolean, event millrace.events)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_least_scanned CONSTANT bigint := 10000;
    c_most_scanned  CONSTANT bigint := 100000;
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_scanned bigint := least(c_most_scanned, greatest(c_least_scanned, p_limit::bigint * v_handler.lanes));
    v_after   bigint;
    v_bounds  record;
BEGIN
    SELECT l.checkpoint INTO STRICT v_after
    FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id AND l.lane = p_lane;
    SELECT b.horizon, b.up_to, b.stored_from, b.stored_before, b.open_since INTO STRICT v_bounds
    FROM millrace.page_bounds(v_after) AS b;
    -- A generation that is being built does not pass the one that serves.
    SELECT coalesce(least(v_bounds.up_to, s.checkpoint), v_bounds.up_to), coalesce(least(v_bounds.horizon, s.checkpoint), v_bounds.horizon)
    INTO STRICT v_bounds.up_to, v_bounds.horizon
    FROM millrace.followed_position(p_handler_id, p_lane) AS s (checkpoint);

    RETURN QUERY
    WITH page AS MATERIALIZED (
        SELECT s.id, s.event_id, s.event_type, s.aggregate_type, s.aggregate_id, s.version, s.event_data, s.metadata, s.occurred_at,
               s.created_at, s.payload, s.content_type, s.previous_hash, s.current_hash,
               (
                   SELECT p.position FROM millrace.parked_events AS p
                   WHERE p.handler_id = p_handler_id AND p.aggregate_type = s.aggregate_type AND p.aggregate_id = s.aggregate_id
               ) AS head
        FROM (
            SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version, e.event_data, e.metadata, e.occurred_at,
                   e.created_at, e.payload, e.content_type, e.previous_hash, e.current_hash
            FROM millrace.events AS e
            WHERE e.id > v_after AND e.id <= v_bounds.up_to
              AND (e.created_at >= v_bounds.open_since
                   OR e.created_at >= v_bounds.stored_from AND e.created_at < v_bounds.stored_before)
            ORDER BY e.id
            LIMIT v_scanned
        ) AS s
        WHERE (v_handler.event_types IS NULL OR s.event_type = ANY (v_handler.event_types))
          AND (v_handler.aggregate_types IS NULL OR s.aggregate_type = ANY (v_handler.aggregate_types))
          AND millrace.lane_of(s.aggregate_type, s.aggregate_id, v_handler.lanes) = p_lane
          AND s.id > coalesce((
              SELECT a.position FROM millrace.handled_ahead AS a
              WHERE a.handler_id = p_handler_id AND a.aggregate_type = s.aggregate_type AND a.aggregate_id = s.aggregate_id
          ), 0)
        LIMIT p_limit
    ), edge AS (
        SELECT CASE WHEN (SELECT count(*) FROM page) >= p_limit
            THEN (SELECT max(p.id) FROM page AS p)
            ELSE (
                SELECT max(s.id)
                FROM (
                    SELECT e.id
                    FROM millrace.events AS e
                    WHERE e.id > v_after AND e.id <= v_bounds.up_to
                      AND (e.created_at >= v_bounds.open_since
                           OR e.created_at >= v_bounds.stored_from AND e.created_at < v_bounds.stored_before)
                    ORDER BY e.id
                    LIMIT v_scanned
                ) AS s
            )
        END AS position
    )
    SELECT coalesce(edge.position, CASE WHEN v_bounds.up_to < v_bounds.horizon THEN v_bounds.up_to ELSE v_after END),
           v_bounds.up_to >= v_bounds.horizon AND NOT EXISTS (
               SELECT FROM millrace.events AS e
               WHERE e.id > coalesce(edge.position, v_after) AND e.id <= v_bounds.up_to
                 AND (e.created_at >= v_bounds.open_since
                      OR e.created_at >= v_bounds.stored_from AND e.created_at < v_bounds.stored_before)
           ),
           page.id > page.head,
           CASE WHEN page.id IS NOT NULL THEN ROW(
               page.id, page.event_id, page.event_type, page.aggregate_type, page.aggregate_id, page.version, page.event_data,
               page.metadata, page.occurred_at, page.created_at, page.payload, page.content_type, page.previous_hash, page.current_hash
           )::millrace.events END
    FROM edge LEFT JOIN page ON page.head IS NULL OR page.id > page.head
    ORDER BY page.id;
END
$$;

REVOKE ALL ON FUNCTION millrace.read_lane(text, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_lane(text, int, int) TO millrace_consumer, millrace_admin;
