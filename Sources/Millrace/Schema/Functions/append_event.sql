-- append_events for one event, which is what a caller on his own sends: the same in less time, because nothing comes or goes
-- in arrays. The library calls it where a batch is one event; append_events does where it is given one.
--
-- First as if nothing could be wrong, see append_at_once; then append_carefully decides.
CREATE OR REPLACE FUNCTION millrace.append_event(
    p_event_type       text,
    p_aggregate_type   text,
    p_aggregate_id     text,
    p_event_data       jsonb,
    p_metadata         jsonb       DEFAULT NULL,
    p_event_id         uuid        DEFAULT NULL,
    p_occurred_at      timestamptz DEFAULT NULL,
    p_payload          bytea       DEFAULT NULL,
    p_content_type     text        DEFAULT NULL,
    -- -1: the stream exists; 0: it does not; n: it is exactly at n.
    p_expected_version int         DEFAULT NULL,
    OUT outcome text, OUT positions bigint[], OUT versions int[], OUT event_ids uuid[], OUT conflicts jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp SET millrace.advances_streams = on
AS $$
DECLARE
    v_version  int;
    v_first    timestamptz;
    v_last     timestamptz;
    v_position bigint;
    v_event_id uuid;
    v_expects  boolean := p_expected_version IS NOT NULL;
BEGIN
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
        RETURNING s.version, s.first_event_at, s.last_event_at INTO v_version, v_first, v_last;

        IF v_version IS NULL OR NOT millrace.fence()
           OR p_event_id IS NOT NULL AND clock_timestamp() - interval '48 hours' < date_trunc('month', clock_timestamp(), 'UTC')
              AND EXISTS (
                  SELECT FROM millrace.events AS e
                  WHERE e.event_id = p_event_id
                    AND e.created_at >= clock_timestamp() - interval '48 hours'
                    AND e.created_at < date_trunc('month', clock_timestamp(), 'UTC')
              ) THEN
            RAISE SQLSTATE 'MR000';
        END IF;

        INSERT INTO millrace.events (
            id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at,
            payload, content_type, previous_hash, current_hash
        )
        SELECT coalesce((t.link).position, nextval('millrace.events_id_seq')), coalesce((t.link).event_id, p_event_id, uuidv7()),
               p_event_type, p_aggregate_type, p_aggregate_id,
               v_version, coalesce(p_event_data, 'null'), p_metadata, coalesce(p_occurred_at, t.stored_at), t.stored_at,
               p_payload, p_content_type, (t.link).previous_hash, (t.link).current_hash
        FROM (
            SELECT s.stored_at, s.open_since, s.max_bytes, CASE WHEN p_aggregate_type = ANY (s.ledgered_types) THEN millrace.chain_event(
                       p_event_id, p_event_type, p_aggregate_type, p_aggregate_id, v_version, coalesce(p_event_data, 'null'), p_metadata,
                       p_occurred_at, s.stored_at, p_payload, p_content_type
                   ) END AS link
            FROM (
                SELECT least(v_last, greatest(v_first, clock_timestamp())) AS stored_at, r.open_since,
                       least(r.max_event_bytes, r.max_batch_bytes) AS max_bytes, r.ledgered_types
                FROM millrace.store AS r
            ) AS s
        ) AS t
        WHERE t.stored_at >= t.open_since
          AND (p_event_id IS NULL
               OR uuid_extract_version(p_event_id) = 7
               AND uuid_extract_timestamp(p_event_id) > t.stored_at - interval '24 hours'
               AND uuid_extract_timestamp(p_event_id) < t.stored_at + interval '24 hours')
          AND octet_length(p_event_type) BETWEEN 1 AND 255
          AND octet_length(p_aggregate_type) BETWEEN 1 AND 255
          AND octet_length(p_aggregate_id) BETWEEN 1 AND 255
          AND (p_content_type IS NULL OR octet_length(p_content_type) BETWEEN 1 AND 255)
          AND (p_event_data IS NOT NULL OR p_payload IS NOT NULL)
          AND (p_metadata IS NULL OR jsonb_typeof(p_metadata) = 'object')
          AND (p_occurred_at IS NULL OR p_occurred_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00')
          AND coalesce(pg_column_size(p_event_data), 0) + coalesce(pg_column_size(p_metadata), 0)
              + coalesce(octet_length(p_payload), 0) <= t.max_bytes
        RETURNING id, event_id INTO v_position, v_event_id;
        IF v_position IS NULL THEN
            RAISE SQLSTATE 'MR000';
        END IF;

        outcome := 'appended';
        positions := ARRAY[v_position];
        versions := ARRAY[v_version];
        event_ids := ARRAY[v_event_id];
        RETURN;
    EXCEPTION
        -- The last two: a name that is missing, or too long for an index.
        WHEN SQLSTATE 'MR000' OR unique_violation OR not_null_violation OR program_limit_exceeded THEN
            NULL;
    END;

    SELECT a.outcome, a.positions, a.versions, a.event_ids, a.conflicts
    INTO STRICT outcome, positions, versions, event_ids, conflicts
    FROM millrace.append_carefully(
        '{1}', ARRAY[p_event_type], ARRAY[p_aggregate_type], ARRAY[p_aggregate_id], ARRAY[p_event_data], ARRAY[p_metadata],
        ARRAY[p_event_id], ARRAY[p_occurred_at], ARRAY[p_payload], ARRAY[p_content_type],
        CASE WHEN v_expects THEN '{1}'::int[] END, CASE WHEN v_expects THEN ARRAY[p_aggregate_type] END,
        CASE WHEN v_expects THEN ARRAY[p_aggregate_id] END, CASE WHEN v_expects THEN ARRAY[p_expected_version] END
    ) AS a;
END
$$;

REVOKE ALL ON FUNCTION millrace.append_event(
    text, text, text, jsonb, jsonb, uuid, timestamptz, bytea, text, int
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.append_event(
    text, text, text, jsonb, jsonb, uuid, timestamptz, bytea, text, int
) TO millrace_publisher, millrace_importer, millrace_admin;
