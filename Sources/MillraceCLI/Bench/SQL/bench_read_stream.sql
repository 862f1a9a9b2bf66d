-- What a stream holds, asked for without Millrace's functions.
SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version,
       e.event_data, e.metadata, e.occurred_at, e.created_at, e.payload, e.content_type
FROM millrace.events AS e
WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND e.version >= $3
ORDER BY e.version
LIMIT $4
