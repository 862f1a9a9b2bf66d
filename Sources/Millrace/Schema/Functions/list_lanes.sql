-- A handler's lanes: who has each, how far it is, what lies behind its checkpoint and what waits in it.
--
-- pending: events of the lane behind its checkpoint, of the 10,000 events of the log that come next there; where there are more, is_exact is
-- false and pending the least that it may be. lag: the age of the oldest of them. Both are NULL in a lane that was not looked at, because
-- too many others are far apart: the slowest are looked at first.
CREATE OR REPLACE FUNCTION millrace.list_lanes(p_handler_id text)
RETURNS TABLE (
    lane int, checkpoint bigint, worker_id uuid, worker text, leased_until timestamptz, moved_at timestamptz, stored_at timestamptz,
    pending bigint, is_exact boolean, lag double precision, retrying bigint, discarding bigint, parked bigint, waiting bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    c_looked  CONSTANT int := 10000;
    c_looks   CONSTANT int := 16;
    v_handler millrace.event_handlers;
    v_now     timestamptz := clock_timestamp();
    v_horizon bigint;
    v_last    bigint;
    v_from    bigint;
    v_up_to   bigint;
    v_since   timestamptz;
    v_pending jsonb := '{}';
    v_found   jsonb;
BEGIN
    PERFORM millrace.check_isolation();
    v_handler := millrace.find_handler(p_handler_id);
    v_horizon := millrace.horizon();
    SELECT min(l.checkpoint) INTO v_from FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id;

    -- One look answers for all lanes whose checkpoints lie within it.
    FOR v_look IN 1 .. c_looks LOOP
        EXIT WHEN v_from IS NULL;
        v_since := millrace.stored_from(v_from);
        WITH looked AS MATERIALIZED (
            SELECT e.id, e.event_type, e.aggregate_type, e.aggregate_id, e.created_at
            FROM millrace.events AS e
            WHERE e.id > v_from AND e.id <= v_horizon AND e.created_at >= v_since
            ORDER BY e.id
            LIMIT c_looked
        ), ends AS (
            SELECT CASE WHEN count(*) < c_looked THEN NULL ELSE max(n.id) END AS up_to, max(n.created_at) AS at FROM looked AS n
        ), mine AS MATERIALIZED (
            SELECT millrace.lane_of(n.aggregate_type, n.aggregate_id, v_handler.lanes) AS lane, n.id, n.created_at
            FROM looked AS n
            WHERE (v_handler.event_types IS NULL OR n.event_type = ANY (v_handler.event_types))
              AND (v_handler.aggregate_types IS NULL OR n.aggregate_type = ANY (v_handler.aggregate_types))
        ), counted AS (
            SELECT l.lane, count(m.id) AS pending, min(m.created_at) AS oldest
            FROM millrace.handler_lanes AS l
            CROSS JOIN ends AS x
            LEFT JOIN mine AS m ON m.lane = l.lane AND m.id > l.checkpoint
            WHERE l.handler_id = p_handler_id AND l.checkpoint >= v_from AND (x.up_to IS NULL OR l.checkpoint < x.up_to)
            GROUP BY l.lane
        )
        SELECT x.up_to, (
                   SELECT jsonb_object_agg(c.lane, jsonb_build_object(
                       'pending', c.pending, 'is_exact', x.up_to IS NULL,
                       'oldest', CASE WHEN c.pending > 0 THEN c.oldest WHEN x.up_to IS NOT NULL THEN x.at END
                   ))
                   FROM counted AS c
               )
        INTO STRICT v_up_to, v_found
        FROM ends AS x;
        v_pending := v_pending || coalesce(v_found, '{}');
        SELECT min(l.checkpoint) INTO v_from
        FROM millrace.handler_lanes AS l
        WHERE l.handler_id = p_handler_id AND l.checkpoint >= v_up_to;
    END LOOP;

    RETURN QUERY
    SELECT l.lane, l.checkpoint, l.worker_id, w.name, l.leased_until, l.moved_at, l.stored_at,
           (n.looked ->> 'pending')::bigint, (n.looked ->> 'is_exact')::boolean,
           CASE WHEN n.looked IS NOT NULL
               THEN greatest(0, extract(epoch FROM v_now - coalesce((n.looked ->> 'oldest')::timestamptz, v_now)))::float8
           END,
           coalesce(a.retrying, 0), coalesce(a.discarding, 0), coalesce(a.parked, 0), coalesce(a.waiting, 0)::bigint
    FROM millrace.handler_lanes AS l
    CROSS JOIN LATERAL (SELECT v_pending -> l.lane::text AS looked) AS n
    LEFT JOIN millrace.handler_workers AS w ON w.handler_id = l.handler_id AND w.worker_id = l.worker_id
    LEFT JOIN (
        SELECT p.lane, sum(p.waiting) AS waiting,
               count(*) FILTER (WHERE p.status = 'retrying') AS retrying,
               count(*) FILTER (WHERE p.status = 'discarding') AS discarding,
               count(*) FILTER (WHERE p.status = 'parked') AS parked
        FROM millrace.parked_events AS p
        WHERE p.handler_id = p_handler_id
        GROUP BY p.lane
    ) AS a ON a.lane = l.lane
    WHERE l.handler_id = p_handler_id
    ORDER BY l.lane;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_lanes(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_lanes(text) TO millrace_consumer, millrace_admin;
