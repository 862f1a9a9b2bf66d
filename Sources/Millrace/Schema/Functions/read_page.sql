-- A page of the log for a reader that keeps a position: at least one row always, so that it learns how far was looked even
-- where nothing matched (then one row whose id is NULL). scanned_to is the position of a committed event, matching or not,
-- at or below the horizon: the only kind of position that may be kept. is_last: there was nothing more to look at. The
-- horizon itself cannot tell, because it may lie in a gap above the last event. epoch: the life of the store that the
-- position belongs to; a reader that follows the log across a failover compares it page by page.
--
-- The page is read as a stream: at most p_scan_limit events are looked at, fewer when p_limit of them matched. Only when
-- they did not all fit the filter is the edge of what was looked at asked for, which rereads ids alone; what lies below
-- the horizon does not change in between. It ends where the month that it begins in does (see page_bounds).
CREATE OR REPLACE FUNCTION millrace.read_page(
    p_after           bigint DEFAULT 0,
    p_limit           int    DEFAULT 1000,
    p_event_types     text[] DEFAULT NULL,
    p_aggregate_types text[] DEFAULT NULL,
    p_scan_limit      int    DEFAULT 10000
) RETURNS TABLE (
    scanned_to bigint, horizon bigint, is_last boolean, epoch uuid,
    id bigint, event_id uuid, event_type text, aggregate_type text, aggregate_id text, version int,
    event_data jsonb, metadata jsonb, occurred_at timestamptz, created_at timestamptz,
    payload bytea, content_type text, previous_hash bytea, current_hash bytea
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_after      bigint := coalesce(p_after, 0);
    v_limit      int := greatest(p_limit, 1);
    v_scan_limit int := greatest(p_scan_limit, 1);
    v_unfiltered boolean := p_event_types IS NULL AND p_aggregate_types IS NULL;
    v_bounds     record;
BEGIN
    SELECT b.horizon, b.up_to, b.stored_from, b.stored_before, b.open_since INTO STRICT v_bounds
    FROM millrace.page_bounds(v_after) AS b;

    RETURN QUERY
    WITH page AS MATERIALIZED (
        SELECT s.*
        FROM (
            SELECT e.*
            FROM millrace.events AS e
            WHERE e.id > v_after AND e.id <= v_bounds.up_to
              AND (e.created_at >= v_bounds.open_since
                   OR e.created_at >= v_bounds.stored_from AND e.created_at < v_bounds.stored_before)
            ORDER BY e.id
            LIMIT v_scan_limit
        ) AS s
        WHERE (p_event_types IS NULL OR s.event_type = ANY (p_event_types))
          AND (p_aggregate_types IS NULL OR s.aggregate_type = ANY (p_aggregate_types))
        LIMIT v_limit
    ), edge AS (
        SELECT CASE WHEN v_unfiltered OR (SELECT count(*) FROM page) >= v_limit
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
                    LIMIT v_scan_limit
                ) AS s
            )
        END AS position
    )
    SELECT coalesce(edge.position, CASE WHEN v_bounds.up_to < v_bounds.horizon THEN v_bounds.up_to ELSE v_after END),
           v_bounds.horizon,
           CASE
               WHEN v_bounds.up_to < v_bounds.horizon THEN false
               WHEN v_unfiltered AND (SELECT count(*) FROM page) < least(v_limit, v_scan_limit) THEN true
               ELSE NOT EXISTS (
                   SELECT FROM millrace.events AS e
                   WHERE e.id > coalesce(edge.position, v_after) AND e.id <= v_bounds.up_to
                     AND (e.created_at >= v_bounds.open_since
                          OR e.created_at >= v_bounds.stored_from AND e.created_at < v_bounds.stored_before)
               )
           END,
           (SELECT s.epoch FROM millrace.store AS s),
           page.*
    FROM edge LEFT JOIN page ON true
    ORDER BY page.id;
END
$$;

REVOKE ALL ON FUNCTION millrace.read_page(bigint, int, text[], text[], int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_page(bigint, int, text[], text[], int) TO millrace_consumer, millrace_admin;
