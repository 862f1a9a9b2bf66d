-- Of a projection whose newest generation serves: how far its slowest lane is, and how many events it has.
SELECT (SELECT min(l.checkpoint) FROM millrace.handler_lanes AS l WHERE l.handler_id = g.handler_id),
       (SELECT coalesce(sum(c.processed), 0) FROM millrace.handler_counts AS c WHERE c.handler_id = g.handler_id)::bigint
FROM millrace.projection_generations AS g
WHERE g.projection = $1 AND g.state = 'serving'
  AND g.generation = (SELECT max(n.generation) FROM millrace.projection_generations AS n WHERE n.projection = $1)
