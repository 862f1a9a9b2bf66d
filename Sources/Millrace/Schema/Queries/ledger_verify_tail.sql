-- Streams with events that are not sealed, whose versions have gaps there or do not end where the stream does.
SELECT t.aggregate_type, t.aggregate_id, t.first_version, t.last_version, t.first_id
FROM (
    SELECT e.aggregate_type, e.aggregate_id, min(e.version) AS first_version, max(e.version) AS last_version,
           count(*) AS events, min(e.id) AS first_id
    FROM millrace.events AS e
    WHERE e.id > $1
    GROUP BY e.aggregate_type, e.aggregate_id
) AS t
LEFT JOIN millrace.streams AS s ON s.aggregate_type = t.aggregate_type AND s.aggregate_id = t.aggregate_id
WHERE s.version IS DISTINCT FROM t.last_version
   OR t.events <> t.last_version - t.first_version + 1
   OR t.first_version > 1 AND NOT EXISTS (
       SELECT
       FROM millrace.events AS p
       WHERE p.aggregate_type = t.aggregate_type AND p.aggregate_id = t.aggregate_id AND p.version = t.first_version - 1
   )
ORDER BY t.first_id
LIMIT $2
