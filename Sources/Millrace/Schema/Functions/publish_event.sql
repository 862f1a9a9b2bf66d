-- One event in one call, for any SQL client: inside the caller's own transaction it is the transactional outbox.
--
-- Rings the doorbell inside the transaction, so that a psql session can LISTEN event_channel; the payload is the position.
-- That serialises commits, forbids PREPARE TRANSACTION, and fails when the notification queue is full; the setting
-- millrace.notify_on_publish = off (for a database, a role or a transaction) turns it off.
--
-- An event id or an expected version asks for what append_events knows, and so does a name that may be too long; the plain
-- call stays as short as it can be, two statements and few expressions, each of which is paid for anew in every transaction:
-- the stream's row first (it is the lock and the version), then the fence, then the event.
CREATE OR REPLACE FUNCTION millrace.publish_event(
    p_event_type       text,
    p_aggregate_id     text,
    p_aggregate_type   text,
    p_event_data       jsonb,
    p_metadata         jsonb       DEFAULT NULL,
    p_event_id         uuid        DEFAULT NULL,
    p_expected_version int         DEFAULT NULL,
    p_occurred_at      timestamptz DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp SET millrace.advances_streams = on
AS $$
DECLARE
    v_version   int;
    v_first     timestamptz;
    v_last      timestamptz;
    v_position  bigint;
    v_event_id  uuid;
    v_stored_at timestamptz;
BEGIN
    IF p_event_id IS NOT NULL OR p_expected_version IS NOT NULL
       OR (octet_length(p_aggregate_type) BETWEEN 1 AND 255 AND octet_length(p_aggregate_id) BETWEEN 1 AND 255) IS NOT TRUE THEN
        IF (char_length(p_aggregate_type) BETWEEN 1 AND 255 AND char_length(p_aggregate_id) BETWEEN 1 AND 255) IS NOT TRUE THEN
            PERFORM millrace.refuse_event(p_event_type, p_aggregate_type, p_aggregate_id, p_event_data, p_metadata,
                                          p_occurred_at, NULL, NULL, 2147483647, NULL);
        END IF;
        RETURN millrace.publish_checked(
            p_event_type, p_aggregate_id, p_aggregate_type, p_event_data, p_metadata,
            p_event_id, p_expected_version, p_occurred_at
        );
    END IF;

    -- Where the row exists, the clock is read after its lock was waited for: read before, it could be earlier than that of
    -- the version before this one.
    INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
    VALUES (p_aggregate_type, p_aggregate_id, 1, clock_timestamp(), clock_timestamp())
    ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE
        SET version = s.version + 1,
            first_event_at = least(s.first_event_at, clock_timestamp()),
            last_event_at = greatest(s.last_event_at, clock_timestamp())
    RETURNING s.version, s.first_event_at, s.last_event_at INTO v_version, v_first, v_last;

    -- Stored within the span that the row says now: its end, unless the clock has stepped back since an earlier event. Not
    -- that event's time again: one that a wrong clock gave would then be given to all that follow, in a month yet to come.
    --
    -- The sizes as array elements, because a value that comes straight from a table may still be compressed.
    IF millrace.fence() THEN
        INSERT INTO millrace.events (
            id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at,
            previous_hash, current_hash
        )
        SELECT coalesce((t.link).position, nextval('millrace.events_id_seq')), coalesce((t.link).event_id, uuidv7()),
               p_event_type, p_aggregate_type, p_aggregate_id, v_version, p_event_data, p_metadata,
               coalesce(p_occurred_at, t.stored_at), t.stored_at, (t.link).previous_hash, (t.link).current_hash
        FROM (
            SELECT s.stored_at, s.max_event_bytes, CASE WHEN p_aggregate_type = ANY (s.ledgered_types) THEN millrace.chain_event(
                       NULL, p_event_type, p_aggregate_type, p_aggregate_id, v_version, p_event_data, p_metadata,
                       p_occurred_at, s.stored_at, NULL, NULL
                   ) END AS link
            FROM (
                SELECT greatest(least(v_last, greatest(v_first, clock_timestamp())), r.open_since) AS stored_at, r.max_event_bytes,
                       r.ledgered_types
                FROM millrace.store AS r
            ) AS s
        ) AS t
        WHERE char_length(p_event_type) BETWEEN 1 AND 255
          AND p_event_data IS NOT NULL
          AND coalesce(jsonb_typeof(p_metadata), 'object') = 'object'
          AND coalesce(p_occurred_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00', true)
          AND pg_column_size(ARRAY[p_event_data, p_metadata]) <= t.max_event_bytes
        RETURNING id, event_id, created_at INTO v_position, v_event_id, v_stored_at;
    END IF;

    IF v_position IS NULL THEN
        PERFORM millrace.refuse_event(p_event_type, p_aggregate_type, p_aggregate_id, p_event_data, p_metadata, p_occurred_at,
                                      NULL, NULL, (SELECT s.max_event_bytes FROM millrace.store AS s), NULL);
    END IF;
    -- The clock has stepped back behind a closed month, or the month was closed since it was read.
    IF v_stored_at > v_last THEN
        UPDATE millrace.streams AS s
        SET last_event_at = v_stored_at
        WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id AND s.last_event_at < v_stored_at;
    END IF;

    IF millrace.ring(v_position) THEN
        NULL;
    END IF;
    RETURN v_event_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.publish_event(text, text, text, jsonb, jsonb, uuid, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.publish_event(text, text, text, jsonb, jsonb, uuid, int, timestamptz)
    TO millrace_publisher, millrace_importer, millrace_admin;
