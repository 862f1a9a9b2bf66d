-- What the view event_processing_stats shows. A function, because a view's functions run as whoever selects from it.
--
-- Every event since a handler's beginning is one of: processed; failed, which is parked now or was discarded; pending. The p99 is read
-- from the histogram, within its bucket by proportion: its error is below 20 %.
CREATE OR REPLACE FUNCTION millrace.list_processing_stats()
RETURNS TABLE (
    event_type text, handler_id text, total_events bigint, processed_events bigint, pending_events bigint, failed_events bigint,
    avg_processing_time interval, p99_processing_time interval
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_horizon bigint;
BEGIN
    PERFORM millrace.check_isolation();
    v_horizon := millrace.horizon();

    RETURN QUERY
    WITH log AS MATERIALIZED (
        SELECT h.handler_id, t.event_type, sum(t.events)::bigint AS events
        FROM millrace.event_handlers AS h
        JOIN millrace.events_by_type(v_horizon) AS t
            ON (h.event_types IS NULL OR t.event_type = ANY (h.event_types))
            AND (h.aggregate_types IS NULL OR t.aggregate_type = ANY (h.aggregate_types))
        GROUP BY h.handler_id, t.event_type
    ), settled AS MATERIALIZED (
        SELECT c.handler_id, c.event_type, sum(c.skipped)::bigint AS skipped, sum(c.processed)::bigint AS processed,
               sum(c.discarded)::bigint AS discarded, sum(c.microseconds)::bigint AS microseconds
        FROM millrace.handler_counts AS c
        GROUP BY c.handler_id, c.event_type
    ), buckets AS MATERIALIZED (
        SELECT c.handler_id, c.event_type, n.bucket, sum(n.events) AS events
        FROM millrace.handler_counts AS c
        CROSS JOIN LATERAL unnest(c.latencies) WITH ORDINALITY AS n (events, bucket)
        WHERE n.events > 0
        GROUP BY c.handler_id, c.event_type, n.bucket
    ), ranks AS (
        SELECT b.handler_id, b.event_type, b.bucket, b.events,
               sum(b.events) OVER (PARTITION BY b.handler_id, b.event_type ORDER BY b.bucket) AS up_to,
               0.99 * sum(b.events) OVER (PARTITION BY b.handler_id, b.event_type) AS wanted
        FROM buckets AS b
    ), slow AS (
        SELECT r.handler_id, r.event_type,
               power(2, (r.bucket - 1 + (r.wanted - (r.up_to - r.events)) / r.events) / 2) AS microseconds
        FROM ranks AS r
        WHERE r.up_to >= r.wanted AND r.up_to - r.events < r.wanted
    ), parked AS MATERIALIZED (
        SELECT p.handler_id, p.event_type, count(*) AS events
        FROM millrace.parked_events AS p
        WHERE p.status = 'parked'
        GROUP BY p.handler_id, p.event_type
    )
    SELECT l.event_type,
           l.handler_id,
           l.events - coalesce(s.skipped, 0),
           coalesce(s.processed, 0),
           greatest(0, l.events - coalesce(s.skipped, 0) - coalesce(s.processed, 0) - coalesce(s.discarded, 0) - coalesce(p.events, 0)),
           coalesce(s.discarded, 0) + coalesce(p.events, 0),
           make_interval(secs => s.microseconds / nullif(s.processed, 0) / 1000000.0),
           make_interval(secs => w.microseconds::float8 / 1000000.0)
    FROM log AS l
    LEFT JOIN settled AS s ON s.handler_id = l.handler_id AND s.event_type = l.event_type
    LEFT JOIN slow AS w ON w.handler_id = l.handler_id AND w.event_type = l.event_type
    LEFT JOIN parked AS p ON p.handler_id = l.handler_id AND p.event_type = l.event_type
    ORDER BY l.event_type, l.handler_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_processing_stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_processing_stats() TO millrace_consumer, millrace_admin;
