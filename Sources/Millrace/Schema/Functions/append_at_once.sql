-- What append_events does first with a call of several events: as if nothing in it could be wrong, in as few statements as
-- there can be. The streams are advanced at once, in the fixed order in which all appends lock them; each event is numbered
-- after the version its stream had; and the table's own unique constraints find the event ids that are there already.
--
-- Whatever it is not sure of it raises as MR000, or meets as the violation of a constraint: append_events then takes back
-- what was done here and lets append_carefully decide.
--
-- A constraint knows one month. So an id must tell that it was made within the last day (less than a day ahead, for clocks
-- that disagree), and in the first two days of a month the one before is looked through.
--
-- The events of a stream are gathered by hashing, in the order in which they come: sorting by names would take as long as all
-- the rest but the insert.
CREATE OR REPLACE FUNCTION millrace.append_at_once(
    p_requests int[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_event_data jsonb[],
    p_metadata jsonb[], p_event_ids uuid[], p_occurred_at timestamptz[], p_payloads bytea[], p_content_types text[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS TABLE (request int, outcome text, positions bigint[], versions int[], event_ids uuid[], conflicts jsonb)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_clock     timestamptz := clock_timestamp();
    v_lowest_id uuid := millrace.lowest_uuid(v_clock - interval '24 hours');
    v_limit_id  uuid := millrace.lowest_uuid(v_clock + interval '24 hours');
    v_count     int := cardinality(p_requests);
    v_expected  int := coalesce(cardinality(p_expect_requests), 0);
    v_bytes     bigint;
    v_max_bytes int;
    v_versions  int[];
    v_is_ahead  boolean;
    v_times     timestamptz[];
    v_positions bigint[];
    v_event_ids uuid[];
    -- Where some are of ledgered types.
    v_chains    boolean;
    v_ids       uuid[] := p_event_ids;
    v_previous  bytea[];
    v_current   bytea[];
BEGIN
    WITH gathered AS MATERIALIZED (
        SELECT n.aggregate_type, n.aggregate_id, array_agg(n.index::int) AS indexes
        FROM unnest(p_aggregate_types, p_aggregate_ids) WITH ORDINALITY AS n (aggregate_type, aggregate_id, index)
        GROUP BY n.aggregate_type, n.aggregate_id
    ), advanced AS (
        INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version, first_event_at, last_event_at)
        SELECT g.aggregate_type, g.aggregate_id, cardinality(g.indexes), v_clock, v_clock
        FROM gathered AS g
        WHERE octet_length(g.aggregate_type) BETWEEN 1 AND 255 AND octet_length(g.aggregate_id) BETWEEN 1 AND 255
        ORDER BY g.aggregate_type COLLATE "C", g.aggregate_id COLLATE "C"
        ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE
            SET version = s.version + excluded.version,
                first_event_at = least(s.first_event_at, excluded.first_event_at),
                last_event_at = greatest(s.last_event_at, excluded.last_event_at)
        RETURNING s.aggregate_type, s.aggregate_id, coalesce(old.version, 0) AS base, s.last_event_at > v_clock AS is_ahead
    )
    SELECT array_agg(e.version ORDER BY e.index), bool_or(e.is_ahead)
    INTO v_versions, v_is_ahead
    FROM (
        SELECT unnest(g.indexes) AS index, a.base + generate_subscripts(g.indexes, 1) AS version, a.is_ahead
        FROM advanced AS a
        JOIN gathered AS g ON g.aggregate_type = a.aggregate_type AND g.aggregate_id = a.aggregate_id
    ) AS e;

    -- Another append came first and was waited for, or a clock has stepped back: later than the version before, as far as the
    -- stream's span reaches.
    IF v_is_ahead THEN
        v_times := millrace.times_within_spans(p_aggregate_types, p_aggregate_ids);
    END IF;
    IF v_expected > 0 AND millrace.an_expectation_fails(
        p_requests, p_aggregate_types, p_aggregate_ids, v_versions,
        p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
    ) OR NOT millrace.fence() THEN
        RAISE SQLSTATE 'MR000';
    END IF;

    v_bytes := pg_column_size(p_event_data) + coalesce(pg_column_size(p_metadata), 0) + coalesce(pg_column_size(p_payloads), 0);
    SELECT s.max_event_bytes, s.ledgered_types && p_aggregate_types INTO v_max_bytes, v_chains
    FROM millrace.store AS s
    WHERE s.open_since <= v_clock
      AND v_bytes <= s.max_batch_bytes
      AND v_count <= s.max_batch_events
      AND (cardinality(p_event_types), cardinality(p_aggregate_types), cardinality(p_aggregate_ids), cardinality(p_event_data),
           cardinality(v_versions), coalesce(cardinality(p_metadata), v_count),
           coalesce(cardinality(p_event_ids), v_count), coalesce(cardinality(p_occurred_at), v_count),
           coalesce(cardinality(p_payloads), v_count), coalesce(cardinality(p_content_types), v_count))
          = (v_count, v_count, v_count, v_count, v_count, v_count, v_count, v_count, v_count, v_count)
      AND (coalesce(cardinality(p_expect_aggregate_types), 0), coalesce(cardinality(p_expect_aggregate_ids), 0),
           coalesce(cardinality(p_expect_versions), 0)) = (v_expected, v_expected, v_expected)
      AND array_position(p_requests, NULL) IS NULL
      AND '' <> ALL (p_event_types)
      AND coalesce(v_lowest_id <= ALL (p_event_ids) AND v_limit_id > ALL (p_event_ids), true)
      AND coalesce('' <> ALL (p_content_types), true)
      AND NOT (v_is_ahead AND date_trunc('month', clock_timestamp(), 'UTC') > v_clock);
    IF v_max_bytes IS NULL OR v_clock - interval '48 hours' < date_trunc('month', v_clock, 'UTC') AND EXISTS (
        SELECT FROM millrace.events AS e
        WHERE e.event_id = ANY (p_event_ids)
          AND e.created_at >= v_clock - interval '48 hours' AND e.created_at < date_trunc('month', v_clock, 'UTC')
    ) THEN
        RAISE SQLSTATE 'MR000';
    END IF;

    -- The hashes are of positions and ids too.
    IF v_chains THEN
        SELECT array_agg(nextval('millrace.events_id_seq')), array_agg(coalesce(p_event_ids[n.index], uuidv7()))
        INTO v_positions, v_ids
        FROM generate_series(1, v_count) AS n (index);
        SELECT c.previous_hashes, c.current_hashes INTO v_previous, v_current
        FROM millrace.chain_events(
            v_positions, v_ids, p_event_types, p_aggregate_types, p_aggregate_ids, v_versions, p_event_data, p_metadata,
            p_occurred_at, v_times, v_clock, p_payloads, p_content_types
        ) AS c;
    END IF;

    -- The positions are drawn in the order of the events.
    WITH stored AS (
        INSERT INTO millrace.events (
            id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at,
            payload, content_type, previous_hash, current_hash
        )
        SELECT coalesce(n.position, nextval('millrace.events_id_seq')), coalesce(n.event_id, uuidv7()), n.event_type, n.aggregate_type,
               n.aggregate_id, n.version, coalesce(n.event_data, 'null'), n.metadata,
               coalesce(n.occurred_at, n.stored_at, v_clock), coalesce(n.stored_at, v_clock), n.payload, n.content_type,
               n.previous_hash, n.current_hash
        FROM unnest(v_ids, p_event_types, p_aggregate_types, p_aggregate_ids, v_versions, p_event_data,
                    p_metadata, p_occurred_at, v_times, p_payloads, p_content_types, v_positions, v_previous, v_current)
            AS n (event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at,
                  stored_at, payload, content_type, position, previous_hash, current_hash)
        WHERE octet_length(n.event_type) <= 255
          AND (n.event_id IS NULL OR uuid_extract_version(n.event_id) = 7)
          AND (n.content_type IS NULL OR octet_length(n.content_type) <= 255)
          AND (n.event_data IS NOT NULL OR n.payload IS NOT NULL)
          AND (n.metadata IS NULL OR jsonb_typeof(n.metadata) = 'object')
          AND (n.occurred_at IS NULL
               OR n.occurred_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00')
          AND (v_bytes <= v_max_bytes
               OR coalesce(pg_column_size(n.event_data), 0) + coalesce(pg_column_size(n.metadata), 0)
                  + coalesce(octet_length(n.payload), 0) <= v_max_bytes)
        RETURNING id, event_id
    )
    SELECT array_agg(s.id), array_agg(s.event_id) INTO v_positions, v_event_ids FROM stored AS s;
    IF cardinality(v_positions) IS DISTINCT FROM cardinality(p_requests) THEN
        RAISE SQLSTATE 'MR000';
    END IF;

    IF p_requests[1] = ALL (p_requests) THEN
        RETURN QUERY SELECT p_requests[1], 'appended', v_positions, v_versions, v_event_ids, NULL::jsonb;
    ELSE
        RETURN QUERY
        SELECT n.request, 'appended', array_agg(n.position), array_agg(n.version), array_agg(n.event_id), NULL::jsonb
        FROM unnest(p_requests, v_positions, v_versions, v_event_ids)
            WITH ORDINALITY AS n (request, position, version, event_id, index)
        GROUP BY n.request
        ORDER BY min(n.index);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.append_at_once(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
