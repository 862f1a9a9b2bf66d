-- Every handler but those of projections, with what may be wrong with it.
SELECT h.handler_id, h.kind, h.state, h.state_reason, extract(epoch FROM clock_timestamp() - h.state_since)::float8 AS seconds,
       h.lanes, h.workers, h.lanes_leased, h.pending, h.is_exact, h.lag, h.parked, h.waiting, h.parked_limit,
       h.retrying + h.discarding + h.parked AS set_aside
FROM millrace.list_handlers() AS h
WHERE NOT EXISTS (SELECT FROM millrace.projection_generations AS g WHERE g.handler_id = h.handler_id)
ORDER BY h.handler_id
