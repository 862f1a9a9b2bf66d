-- What streams say of their last event, and what that is: one statement, because others append meanwhile.
SELECT n.aggregate_id, s.version, s.head_hash, last.version, last.current_hash, last.id
FROM unnest($2::text[]) AS n (aggregate_id)
LEFT JOIN millrace.streams AS s ON s.aggregate_type = $1 AND s.aggregate_id = n.aggregate_id
LEFT JOIN LATERAL (
    SELECT e.version, e.current_hash, e.id
    FROM millrace.events AS e
    WHERE e.aggregate_type = $1 AND e.aggregate_id = n.aggregate_id
    ORDER BY e.version DESC
    LIMIT 1
) AS last ON true
