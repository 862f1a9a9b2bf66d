-- What was delivered to one consumer. $1 run, $2 consumer, then the events.
INSERT INTO millrace_demo.handled (run, consumer, position, aggregate_type, aggregate_id, version)
SELECT $1, $2, e.position, e.aggregate_type, e.aggregate_id, e.version
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::int[]) AS e (position, aggregate_type, aggregate_id, version)
ORDER BY e.position
