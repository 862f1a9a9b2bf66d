-- One event by a plain prepared INSERT.
INSERT INTO bench.events (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now(), now())
