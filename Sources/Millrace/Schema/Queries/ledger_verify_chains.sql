-- The events of an aggregate type, stream by stream, in the order of their versions.
SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version, e.event_data, e.metadata, e.occurred_at,
       e.created_at, e.payload, e.content_type, e.previous_hash, e.current_hash
FROM millrace.events AS e
WHERE e.aggregate_type = $1 AND (e.aggregate_id, e.version, e.id) > ($2, $3, $4)
ORDER BY e.aggregate_id, e.version, e.id
LIMIT $5
