-- The first step of an import's chunk: what is not rows. Everything is checked that can be checked of the streams and names of
-- many events at once; the streams are locked, in the one order, and advanced; positions are drawn for as many events
-- as were announced. The caller then COPYs exactly those events into millrace.events, all with created_at = stored_at, and
-- calls finish_import_chunk; the transaction cannot be committed otherwise.
--
-- p_aggregate_types, p_aggregate_ids and p_events name each stream once, and how many events it gets; base_versions answers
-- in that order: the next event has the version after it. p_names are all the names beside the streams': event types, content types.
-- p_largest_event_bytes is of the JSON as text, with the payload, p_event_ids whatever ids the input names itself.
--
-- Whatever a chunk may not contain is only refused here: import_lines does the same work for any lines, and says what is wrong.
--
-- The fence comes before the streams, so that one statement can lock a stream, advance it and say until when its events
-- reach. It holds readers back for the wait for a lock, which is as long as the other writer holds them back himself.
CREATE OR REPLACE FUNCTION millrace.begin_import_chunk(
    p_aggregate_types     text[],
    p_aggregate_ids       text[],
    p_events              int[],
    p_names               text[],
    p_largest_event_bytes int,
    p_event_ids           uuid[] DEFAULT NULL
) RETURNS TABLE (base_versions int[], positions bigint[], stored_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_generic_plan
SET millrace.advances_streams = on
AS $$
DECLARE
    -- jsonb takes at most six times the text (a number of one digit and its comma take twelve bytes).
    c_growth CONSTANT int := 8;
    v_store  millrace.store;
    v_total  bigint := (SELECT sum(n.events) FROM unnest(p_events) AS n (events));
    v_ahead  timestamptz;
    v_sum    bigint;
BEGIN
    SELECT s.* INTO STRICT v_store FROM millrace.store AS s;
    IF (cardinality(p_aggregate_types) = cardinality(p_events) AND cardinality(p_aggregate_ids) = cardinality(p_events)
        AND v_total BETWEEN 1 AND v_store.max_batch_events
        AND NOT EXISTS (SELECT FROM unnest(p_events) AS n (events) WHERE (n.events > 0) IS NOT TRUE)
        AND p_names IS NOT NULL AND p_largest_event_bytes >= 0) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('the chunk announces %s events of %s streams; the limit is %s',
                             coalesce(v_total, 0), coalesce(cardinality(p_events), 0), v_store.max_batch_events),
            HINT = 'Announce each stream once, with the number of its events, and no more than max_batch_events together.';
    END IF;
    IF p_largest_event_bytes::bigint * c_growth > v_store.max_event_bytes THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR002',
            MESSAGE = format('an event of the chunk has %s bytes of text; its size is not known before it is jsonb',
                             p_largest_event_bytes),
            HINT = 'Give the chunk to import_lines, which measures every event.';
    END IF;
    PERFORM millrace.check_names(p_aggregate_types, p_aggregate_ids);
    IF EXISTS (SELECT FROM unnest(p_names) AS n (name) WHERE (char_length(n.name) BETWEEN 1 AND 255) IS NOT TRUE) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR001',
            MESSAGE = 'an event_type or content_type is missing, empty or too long',
            HINT = 'A name has 1 to 255 characters.';
    END IF;

    PERFORM millrace.fence();
    SELECT greatest(clock_timestamp(), s.open_since) INTO STRICT stored_at FROM millrace.store AS s;

    WITH advanced AS (
        INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
        SELECT n.aggregate_type COLLATE "C" AS aggregate_type, n.aggregate_id COLLATE "C" AS aggregate_id, n.events,
               stored_at, stored_at
        FROM unnest(p_aggregate_types, p_aggregate_ids, p_events) AS n (aggregate_type, aggregate_id, events)
        ORDER BY 1, 2
        ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE
            SET version = s.version + excluded.version,
                first_event_at = least(s.first_event_at, excluded.first_event_at),
                last_event_at = greatest(s.last_event_at, excluded.last_event_at)
        RETURNING s.aggregate_type, s.aggregate_id, s.version, s.last_event_at
    )
    SELECT array_agg(a.version - n.events ORDER BY n.index), max(a.last_event_at),
           sum(n.events::bigint * (a.version - n.events) + n.events::bigint * (n.events + 1) / 2)
    INTO base_versions, v_ahead, v_sum
    FROM unnest(p_aggregate_types, p_aggregate_ids, p_events)
        WITH ORDINALITY AS n (aggregate_type, aggregate_id, events, index)
    JOIN advanced AS a ON a.aggregate_type = n.aggregate_type AND a.aggregate_id = n.aggregate_id;

    -- Another writer, whose lock was waited for, stored later than our clock said before the wait. Not that time itself: one
    -- that a wrong clock gave would then be given to the whole chunk.
    IF v_ahead > stored_at THEN
        stored_at := greatest(clock_timestamp(), stored_at);
        UPDATE millrace.streams AS s
        SET last_event_at = stored_at
        WHERE s.ctid = ANY (ARRAY(
            SELECT t.ctid
            FROM unnest(p_aggregate_types, p_aggregate_ids) AS n (aggregate_type, aggregate_id)
            CROSS JOIN LATERAL (
                SELECT u.ctid FROM millrace.streams AS u
                WHERE u.aggregate_type = n.aggregate_type AND u.aggregate_id = n.aggregate_id
                LIMIT 1
            ) AS t
        ))
        AND s.last_event_at < stored_at;
    END IF;

    -- Asked with the streams locked: after that, no other append chains what comes before the chunk.
    IF (SELECT s.ledgered_types && p_aggregate_types FROM millrace.store AS s) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR014',
            MESSAGE = 'the chunk has events of ledgered types, whose hashes are computed as they are stored',
            HINT = 'Give the chunk to import_lines, which appends them.';
    END IF;

    -- Repeated within the month of stored_at, an id meets the partition's unique constraint; other months are searched.
    IF EXISTS (
        SELECT FROM millrace.find_events_of_other_months(p_event_ids, stored_at) AS e
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR008',
            MESSAGE = 'event ids of the chunk are stored already',
            HINT = 'Give the chunk to import_lines, which passes over events that their streams have.';
    END IF;

    SELECT array_agg(nextval('millrace.events_id_seq')) INTO positions FROM generate_series(1, v_total);
    INSERT INTO millrace.announced_chunks (
        events, position_sum, version_sum, first_position, last_position, stored_at
    )
    SELECT v_total, sum(n.position), v_sum, min(n.position), max(n.position), begin_import_chunk.stored_at
    FROM unnest(positions) AS n (position);
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION millrace.begin_import_chunk(text[], text[], int[], text[], int, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.begin_import_chunk(text[], text[], int[], text[], int, uuid[]) TO millrace_importer;
