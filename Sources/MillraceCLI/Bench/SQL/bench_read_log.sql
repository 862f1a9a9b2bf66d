-- What a page of the log holds, asked for without Millrace's functions: no horizon, no checks.
SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version,
       e.event_data, e.metadata, e.occurred_at, e.created_at, e.payload, e.content_type
FROM millrace.events AS e
WHERE e.id > $1
ORDER BY e.id
LIMIT $2
