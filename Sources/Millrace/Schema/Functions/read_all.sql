-- The log in position order, never beyond the horizon. VOLATILE, so that its second statement has a newer snapshot than
-- its first. Without seq scans, bitmaps and sorts the plan can only be a merge over the partitions' own order, which stops
-- after p_limit rows, also while the statistics of a new month are still missing.
CREATE OR REPLACE FUNCTION millrace.read_all(
    p_after           bigint DEFAULT 0,
    p_limit           int    DEFAULT 1000,
    p_event_types     text[] DEFAULT NULL,
    p_aggregate_types text[] DEFAULT NULL
) RETURNS SETOF millrace.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_after  bigint := coalesce(p_after, 0);
    v_bounds record;
BEGIN
    SELECT b.horizon, b.stored_from INTO STRICT v_bounds FROM millrace.page_bounds(v_after) AS b;

    RETURN QUERY
    SELECT e.*
    FROM millrace.events AS e
    WHERE e.id > v_after
      AND e.id <= v_bounds.horizon
      -- The months that lie wholly before p_after are left out; p_limit may reach through all that follow.
      AND e.created_at >= v_bounds.stored_from
      AND (p_event_types IS NULL OR e.event_type = ANY (p_event_types))
      AND (p_aggregate_types IS NULL OR e.aggregate_type = ANY (p_aggregate_types))
    ORDER BY e.id
    LIMIT greatest(p_limit, 0);
END
$$;

REVOKE ALL ON FUNCTION millrace.read_all(bigint, int, text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_all(bigint, int, text[], text[]) TO millrace_consumer, millrace_admin;
