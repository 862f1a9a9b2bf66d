-- One event a transaction, six a stream, for pgbench: v counts a client's events, and the JSON travels as a parameter.
\set s :v / 6
\set k :v % 6 + 1
\set v :v + 1
INSERT INTO bench.events (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at)
VALUES (uuidv7(), 'order.created', 'order', concat(:run::text, '-', :client_id::int, '-', :s::int), :k, :data, :metadata, now(), now());
