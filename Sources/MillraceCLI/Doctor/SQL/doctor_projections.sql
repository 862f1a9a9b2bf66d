-- Every generation of every projection, with what may be wrong with it.
SELECT p.projection, p.mode, p.generation, p.version, p.state, p.purpose, p.functions IS NOT NULL AS is_sql, p.handler_id, p.handler_state,
       p.handler_reason, p.workers, coalesce(p.pending, 0) AS pending, p.is_exact, p.waiting_streams, p.bytes, h.lag,
       extract(epoch FROM clock_timestamp() - p.requested_at)::float8 AS seconds
FROM millrace.list_projections() AS p
JOIN millrace.list_handlers() AS h ON h.handler_id = p.handler_id
ORDER BY p.projection, p.generation
