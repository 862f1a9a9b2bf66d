-- Many events by one plain INSERT from binary arrays.
INSERT INTO bench.events (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at)
SELECT u.event_id, u.event_type, u.aggregate_type, u.aggregate_id, u.version, u.event_data, u.metadata, now(), now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::jsonb[], $7::jsonb[])
    AS u (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata)
