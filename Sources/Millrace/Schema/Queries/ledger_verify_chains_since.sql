-- The same after a position, each event with the hash of the version before it.
SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version, e.event_data, e.metadata, e.occurred_at,
       e.created_at, e.payload, e.content_type, e.previous_hash, e.current_hash,
       p.version, p.current_hash
FROM millrace.events AS e
LEFT JOIN LATERAL (
    SELECT b.version, b.current_hash
    FROM millrace.events AS b
    WHERE b.aggregate_type = e.aggregate_type AND b.aggregate_id = e.aggregate_id AND b.version = e.version - 1
    LIMIT 1
) AS p ON true
WHERE e.aggregate_type = $1 AND (e.aggregate_id, e.version, e.id) > ($2, $3, $4) AND e.id > $6 AND e.id <= $7
ORDER BY e.aggregate_id, e.version, e.id
LIMIT $5
