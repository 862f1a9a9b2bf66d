-- $1 events from number $2 on, of $3 in all, in streams of six, spread in their order over $4 months that end now, by their owner and
-- past the append functions, whose rules they keep: the stream's row, positions that increase in it, and its span of time. They are
-- stored before anybody reads.
WITH new AS (
    SELECT n, (n - 1) / 6 AS stream, ((n - 1) % 6 + 1)::int AS version,
           CASE WHEN $4::int = 1 THEN now()
                ELSE (date_trunc('month', now() AT TIME ZONE 'UTC')
                      - make_interval(months => ($4::int - 1) - ((n - 1) / 6 * 6 * $4::int / $3::bigint)::int)) AT TIME ZONE 'UTC'
           END AS stored_at
    FROM generate_series($2::bigint, $2::bigint + $1::bigint - 1) AS n
), streams AS (
    INSERT INTO millrace.streams (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
    SELECT 'order', 'fill-' || new.stream, max(new.version), min(new.stored_at), max(new.stored_at)
    FROM new
    GROUP BY new.stream
)
INSERT INTO millrace.events (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at)
SELECT uuidv7(), $5::text, 'order', 'fill-' || new.stream, new.version, $6::jsonb, $7::jsonb, new.stored_at, new.stored_at
FROM new
ORDER BY new.n
