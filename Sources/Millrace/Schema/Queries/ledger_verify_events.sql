-- Every month is asked: what is said of months elsewhere could hide an event.
SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version, e.event_data, e.metadata, e.occurred_at,
       e.created_at, e.payload, e.content_type, e.previous_hash, e.current_hash
FROM millrace.events AS e
WHERE e.id > $1 AND e.id <= $2
ORDER BY e.id
LIMIT $3
