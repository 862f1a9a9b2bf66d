COPY bench.events (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at)
FROM STDIN (FORMAT binary)
