-- What append_events does first with a call of one event, which is what a caller on his own sends. As append_at_once, with
-- nothing to gather from arrays; see there.
CREATE OR REPLACE FUNCTION millrace.append_single(
    p_request int, p_event_type text, p_aggregate_type text, p_aggregate_id text, p_event_data jsonb, p_metadata jsonb,
    p_event_id uuid, p_occurred_at timestamptz, p_payload bytea, p_content_type text, p_expected_version int,
    OUT stored_position bigint, OUT stored_version int, OUT stored_event_id uuid
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_first timestamptz;
    v_last  timestamptz;
BEGIN
    -- A stream that is expected to be there is not made.
    INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
    SELECT p_aggregate_type, p_aggregate_id, 1, clock_timestamp(), clock_timestamp()
    WHERE coalesce(p_expected_version, 0) = 0 OR EXISTS (
        SELECT FROM millrace.streams AS t WHERE t.aggregate_type = p_aggregate_type AND t.aggregate_id = p_aggregate_id
    )
    ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE
        SET version = s.version + 1,
            first_event_at = least(s.first_event_at, clock_timestamp()),
            last_event_at = greatest(s.last_event_at, clock_timestamp())
        WHERE p_expected_version IS NULL
           OR CASE p_expected_version WHEN -1 THEN s.version > 0 ELSE s.version = p_expected_version END
    RETURNING s.version, s.first_event_at, s.last_event_at INTO stored_version, v_first, v_last;

    IF stored_version IS NULL OR NOT millrace.fence()
       OR p_event_id IS NOT NULL AND clock_timestamp() - interval '2 days' < date_trunc('month', clock_timestamp(), 'UTC')
          AND EXISTS (
              SELECT FROM millrace.events AS e
              WHERE e.event_id = p_event_id
                AND e.created_at >= clock_timestamp() - interval '2 days'
                AND e.created_at < date_trunc('month', clock_timestamp(), 'UTC')
          ) THEN
        RAISE SQLSTATE 'MR000';
    END IF;

    INSERT INTO millrace.events (
        id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at,
        payload, content_type
    )
    SELECT nextval('millrace.events_id_seq'), coalesce(p_event_id, uuidv7()), p_event_type, p_aggregate_type, p_aggregate_id,
           stored_version, coalesce(p_event_data, 'null'), p_metadata, coalesce(p_occurred_at, t.stored_at), t.stored_at,
           p_payload, p_content_type
    FROM (
        SELECT least(v_last, greatest(v_first, clock_timestamp())) AS stored_at, s.open_since,
               least(s.max_event_bytes, s.max_batch_bytes) AS max_bytes
        FROM millrace.store AS s
    ) AS t
    WHERE t.stored_at >= t.open_since
      AND p_request IS NOT NULL
      AND (p_event_id IS NULL
           OR p_event_id >= millrace.lowest_uuid(t.stored_at - interval '1 day')
           AND p_event_id < millrace.lowest_uuid(t.stored_at + interval '1 day')
           AND uuid_extract_version(p_event_id) = 7)
      AND octet_length(p_event_type) BETWEEN 1 AND 255
      AND octet_length(p_aggregate_type) BETWEEN 1 AND 255
      AND octet_length(p_aggregate_id) BETWEEN 1 AND 255
      AND (p_content_type IS NULL OR octet_length(p_content_type) BETWEEN 1 AND 255)
      AND (p_event_data IS NOT NULL OR p_payload IS NOT NULL)
      AND (p_metadata IS NULL OR jsonb_typeof(p_metadata) = 'object')
      AND (p_occurred_at IS NULL OR p_occurred_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00')
      AND coalesce(pg_column_size(p_event_data), 0) + coalesce(pg_column_size(p_metadata), 0)
          + coalesce(octet_length(p_payload), 0) <= t.max_bytes
    RETURNING id, event_id INTO stored_position, stored_event_id;
    IF stored_position IS NULL THEN
        RAISE SQLSTATE 'MR000';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.append_single(
    int, text, text, text, jsonb, jsonb, uuid, timestamptz, bytea, text, int
) FROM PUBLIC;
