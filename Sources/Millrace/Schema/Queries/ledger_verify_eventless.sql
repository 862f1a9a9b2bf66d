-- Streams of an aggregate type that say to have events, and have none.
SELECT s.aggregate_id, s.version
FROM millrace.streams AS s
WHERE s.aggregate_type = $1 AND s.aggregate_id > $2 AND s.version > 0
  AND NOT EXISTS (
      SELECT FROM millrace.events AS e WHERE e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id
  )
ORDER BY s.aggregate_id
LIMIT $3
