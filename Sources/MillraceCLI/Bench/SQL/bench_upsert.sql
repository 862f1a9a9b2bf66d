-- A batch of a measured projection: a row for each stream.
INSERT INTO bench_sums AS s (stream, events, version)
SELECT n.stream, n.events, n.version FROM unnest($1::text[], $2::bigint[], $3::int[]) AS n (stream, events, version)
ON CONFLICT (stream) DO UPDATE SET events = s.events + excluded.events, version = excluded.version
