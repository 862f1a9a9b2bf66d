-- Every handler, how it is and how far it has come, in milliseconds whatever the log's size.
--
-- pending: its events that its lanes have not come to. With what is processed, discarded, retrying, discarding, parked and waiting these
-- are all of its events since its beginning. It comes from the counters; what nobody has counted yet is counted up to 100,000 events, and
-- where there are more, is_exact is false and pending the least that it may be. lag: the age of the oldest pending event, 0 without one.
CREATE OR REPLACE FUNCTION millrace.list_handlers(p_handler_id text DEFAULT NULL)
RETURNS TABLE (
    handler_id text, kind text, function text, event_types text[], aggregate_types text[], lanes int,
    state text, state_reason text, state_since timestamptz, audit text, max_attempts int, parked_limit int, registered_at timestamptz,
    workers int, lanes_leased int, checkpoint bigint, processed bigint, discarded bigint, pending bigint, is_exact boolean,
    lag double precision, retrying bigint, discarding bigint, parked bigint, waiting bigint, last_error text, last_failed_at timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    c_counted CONSTANT int := 100000;
    v_horizon bigint;
    v_now     timestamptz := clock_timestamp();
BEGIN
    PERFORM millrace.check_isolation();
    IF p_handler_id IS NOT NULL THEN
        PERFORM millrace.find_handler(p_handler_id);
    END IF;
    v_horizon := millrace.horizon();

    RETURN QUERY
    -- One snapshot for the counts and where they end, or what is counted in between would be counted twice.
    WITH counted AS MATERIALIZED (
        SELECT c.counted_to, millrace.stored_from(c.counted_to) AS stored_from FROM millrace.event_counts_end AS c
    ), since AS MATERIALIZED (
        SELECT n.event_type, n.aggregate_type
        FROM counted AS c
        CROSS JOIN LATERAL (
            SELECT e.event_type, e.aggregate_type
            FROM millrace.events AS e
            WHERE e.id > c.counted_to AND e.id <= v_horizon AND e.created_at >= c.stored_from
            ORDER BY e.id
            LIMIT c_counted + 1
        ) AS n
    ), log AS MATERIALIZED (
        SELECT t.event_type, t.aggregate_type, sum(t.events) AS events
        FROM (
            SELECT c.event_type, c.aggregate_type, c.events FROM millrace.event_counts AS c
            UNION ALL
            SELECT n.event_type, n.aggregate_type, count(*) FROM since AS n GROUP BY n.event_type, n.aggregate_type
        ) AS t
        GROUP BY t.event_type, t.aggregate_type
    ), settled AS MATERIALIZED (
        SELECT c.handler_id, sum(c.skipped) AS skipped, sum(c.processed) AS processed, sum(c.discarded) AS discarded
        FROM millrace.handler_counts AS c
        WHERE p_handler_id IS NULL OR c.handler_id = p_handler_id
        GROUP BY c.handler_id
    ), aside AS MATERIALIZED (
        SELECT p.handler_id, count(*) AS streams, sum(p.waiting) AS waiting,
               count(*) FILTER (WHERE p.status = 'retrying') AS retrying,
               count(*) FILTER (WHERE p.status = 'discarding') AS discarding,
               count(*) FILTER (WHERE p.status = 'parked') AS parked,
               max(p.last_failed_at) FILTER (WHERE p.error IS NOT NULL) AS last_failed_at
        FROM millrace.parked_events AS p
        WHERE p_handler_id IS NULL OR p.handler_id = p_handler_id
        GROUP BY p.handler_id
    ), failed AS MATERIALIZED (
        SELECT DISTINCT ON (p.handler_id) p.handler_id, p.error
        FROM millrace.parked_events AS p
        WHERE p.error IS NOT NULL AND (p_handler_id IS NULL OR p.handler_id = p_handler_id)
        ORDER BY p.handler_id, p.last_failed_at DESC
    ), held AS MATERIALIZED (
        SELECT l.handler_id, min(l.checkpoint) AS checkpoint, (count(*) FILTER (WHERE l.leased_until > v_now))::int AS leased
        FROM millrace.handler_lanes AS l
        WHERE p_handler_id IS NULL OR l.handler_id = p_handler_id
        GROUP BY l.handler_id
    )
    SELECT h.handler_id, h.kind, h.function, h.event_types, h.aggregate_types, h.lanes,
           h.state, h.state_reason, h.state_since, h.audit, h.max_attempts, h.parked_limit, h.registered_at,
           (SELECT count(*)::int FROM millrace.handler_workers AS w WHERE w.handler_id = h.handler_id AND w.seen_until > v_now),
           l.leased, l.checkpoint, coalesce(s.processed, 0)::bigint, coalesce(s.discarded, 0)::bigint,
           n.pending, n.is_exact,
           CASE WHEN n.pending = 0 AND n.is_exact THEN 0
               ELSE greatest(0, extract(epoch FROM v_now - coalesce(millrace.oldest_pending(h.handler_id, v_horizon), v_now)))
           END::float8,
           coalesce(a.retrying, 0), coalesce(a.discarding, 0), coalesce(a.parked, 0), coalesce(a.waiting, 0)::bigint,
           f.error, a.last_failed_at
    FROM millrace.event_handlers AS h
    JOIN held AS l ON l.handler_id = h.handler_id
    LEFT JOIN settled AS s ON s.handler_id = h.handler_id
    LEFT JOIN aside AS a ON a.handler_id = h.handler_id
    LEFT JOIN failed AS f ON f.handler_id = h.handler_id
    LEFT JOIN LATERAL (
        SELECT sum(t.events) AS events
        FROM log AS t
        WHERE (h.event_types IS NULL OR t.event_type = ANY (h.event_types))
          AND (h.aggregate_types IS NULL OR t.aggregate_type = ANY (h.aggregate_types))
    ) AS e ON true
    CROSS JOIN LATERAL (
        SELECT greatest(0, coalesce(e.events, 0) - coalesce(s.skipped + s.processed + s.discarded, 0)
                               - coalesce(a.streams + a.waiting, 0))::bigint AS pending,
               (SELECT count(*) FROM since) <= c_counted AS is_exact
    ) AS n
    WHERE p_handler_id IS NULL OR h.handler_id = p_handler_id
    ORDER BY h.handler_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_handlers(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_handlers(text) TO millrace_consumer, millrace_admin;
