-- How many events a handler has processed, how far its slowest lane is, and how many wait or are parked.
SELECT coalesce((SELECT sum(c.processed) FROM millrace.handler_counts AS c WHERE c.handler_id = $1), 0)::bigint,
       coalesce((SELECT min(l.checkpoint) FROM millrace.handler_lanes AS l WHERE l.handler_id = $1), 0),
       coalesce((SELECT sum(p.waiting + 1) FROM millrace.parked_events AS p WHERE p.handler_id = $1), 0)::bigint
