-- Everything about the arguments of append_events that can be wrong before looking at what is stored. Nothing of a call with
-- such a mistake is stored: it is the caller's, not one request's.
CREATE OR REPLACE FUNCTION millrace.check_batch(
    p_requests int[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_event_data jsonb[],
    p_metadata jsonb[], p_event_ids uuid[], p_occurred_at timestamptz[], p_payloads bytea[], p_content_types text[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_events int := coalesce(cardinality(p_requests), 0);
    v_expectations int := coalesce(cardinality(p_expect_requests), 0);
    v_bytes  bigint := pg_column_size(p_event_data) + coalesce(pg_column_size(p_metadata), 0)
                       + coalesce(pg_column_size(p_payloads), 0);
    v_store  millrace.store;
    v_field  text;
    v_length int;
    v_bad    record;
BEGIN
    SELECT s.* INTO STRICT v_store FROM millrace.store AS s;

    FOR v_field, v_length IN
        VALUES ('p_event_types', coalesce(cardinality(p_event_types), 0)),
               ('p_aggregate_types', coalesce(cardinality(p_aggregate_types), 0)),
               ('p_aggregate_ids', coalesce(cardinality(p_aggregate_ids), 0)),
               ('p_event_data', coalesce(cardinality(p_event_data), 0)),
               ('p_metadata', cardinality(p_metadata)),
               ('p_event_ids', cardinality(p_event_ids)),
               ('p_occurred_at', cardinality(p_occurred_at)),
               ('p_payloads', cardinality(p_payloads)),
               ('p_content_types', cardinality(p_content_types))
    LOOP
        IF v_length <> v_events THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR004',
                MESSAGE = format('%s has %s elements, but p_requests has %s', v_field, v_length, v_events),
                HINT = 'Give every array one element an event, or leave an optional one NULL.';
        END IF;
    END LOOP;

    IF (v_expectations, v_expectations, v_expectations) <> (
        coalesce(cardinality(p_expect_aggregate_types), 0),
        coalesce(cardinality(p_expect_aggregate_ids), 0),
        coalesce(cardinality(p_expect_versions), 0)
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR004',
            MESSAGE = 'the four p_expect_ arrays are of different lengths',
            HINT = 'Give each of them one element an expectation.';
    END IF;

    IF v_events > v_store.max_batch_events OR v_expectations > v_store.max_batch_events THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR003',
            MESSAGE = format('the batch has %s events and %s expectations, the limit is %s of each',
                             v_events, v_expectations, v_store.max_batch_events),
            HINT = 'Split it, or raise max_batch_events in millrace.store.';
    END IF;
    IF v_bytes > v_store.max_batch_bytes THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR003',
            MESSAGE = format('the batch has %s bytes, the limit is %s', v_bytes, v_store.max_batch_bytes),
            HINT = 'Split it, or raise max_batch_bytes in millrace.store.';
    END IF;

    -- One look at every event finds whether any is wrong; only then is asked which, and what.
    SELECT n.* INTO v_bad
    FROM unnest(p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata, p_occurred_at, p_payloads,
                p_content_types, p_requests)
        WITH ORDINALITY AS n (event_type, aggregate_type, aggregate_id, event_data, metadata, occurred_at, payload,
                              content_type, request, index)
    WHERE (
        char_length(n.event_type) BETWEEN 1 AND 255
        AND char_length(n.aggregate_type) BETWEEN 1 AND 255
        AND char_length(n.aggregate_id) BETWEEN 1 AND 255
        AND coalesce(char_length(n.content_type), 1) BETWEEN 1 AND 255
        AND n.request IS NOT NULL
        AND (n.event_data IS NOT NULL OR n.payload IS NOT NULL)
        AND coalesce(jsonb_typeof(n.metadata), 'object') = 'object'
        AND coalesce(n.occurred_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00', true)
        AND coalesce(pg_column_size(n.event_data), 0) + coalesce(pg_column_size(n.metadata), 0)
            + coalesce(octet_length(n.payload), 0) <= v_store.max_event_bytes
    ) IS NOT TRUE
    ORDER BY n.index
    LIMIT 1;
    IF FOUND THEN
        PERFORM millrace.refuse_event(
            v_bad.event_type, v_bad.aggregate_type, v_bad.aggregate_id, v_bad.event_data, v_bad.metadata,
            v_bad.occurred_at, v_bad.payload, v_bad.content_type, v_store.max_event_bytes, v_bad.index
        );
    END IF;

    IF v_expectations > 0 THEN
        PERFORM millrace.check_names(p_expect_aggregate_types, p_expect_aggregate_ids);
        IF EXISTS (SELECT FROM unnest(p_expect_versions) AS v (version) WHERE (v.version >= -1) IS NOT TRUE)
           OR EXISTS (SELECT unnest(p_expect_requests) EXCEPT SELECT unnest(p_requests)) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR011',
                MESSAGE = 'an expectation names no version, or a request that has no events',
                HINT = 'Expect -1 (the stream exists), 0 (it does not) or its exact version, for a request in p_requests.';
        END IF;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_batch(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
