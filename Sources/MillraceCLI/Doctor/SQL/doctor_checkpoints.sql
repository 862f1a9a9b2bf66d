-- Handlers whose checkpoint lies behind the end of the log, which was shorter after a restore. The end is asked for after the checkpoints
-- are seen: the function's snapshot is newer than this statement's.
SELECT l.handler_id, l.checkpoint, e.position AS log_end
FROM (
    SELECT n.handler_id, max(n.checkpoint) AS checkpoint FROM millrace.handler_lanes AS n GROUP BY n.handler_id
) AS l
CROSS JOIN (SELECT millrace.last_committed_position() AS position OFFSET 0) AS e
WHERE l.checkpoint > e.position
ORDER BY l.handler_id
