-- One page of one consumer: what was delivered, and how far that is. $1 run, $2 consumer, $3 scanned to, then the events.
WITH delivered AS (
    INSERT INTO millrace_demo.handled (run, consumer, position, aggregate_type, aggregate_id, version)
    SELECT $1, $2, e.position, e.aggregate_type, e.aggregate_id, e.version
    FROM unnest($4::bigint[], $5::text[], $6::text[], $7::int[]) AS e (position, aggregate_type, aggregate_id, version)
    ORDER BY e.position
)
INSERT INTO millrace_demo.checkpoints AS c (run, consumer, position)
VALUES ($1, $2, $3)
ON CONFLICT (run, consumer) DO UPDATE SET position = excluded.position
WHERE c.position < excluded.position
