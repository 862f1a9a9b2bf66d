-- Appends requests, each all-or-nothing and independent of the others, in their order; one row out per request.
--
-- A call with one event goes a shorter way, append_single.
--
-- All stream rows of the call are locked in one fixed order before anything else is read. Then, as long as no request's
-- fate can depend on another's (they share no stream that one has an expectation of, and repeat no event id), all are
-- decided and stored by the same few statements. Otherwise they are stored one after the other, and each sees what the one
-- before it did because it really comes later.
--
-- The work must be in proportion to the batch whatever the planner believes of the tables: it may have seen them empty, and
-- its plan stays cached. So tables are only looked up through LATERAL (… LIMIT 1), which cannot be turned round, never
-- scanned; arrays are joined to each other by hashing; and one plan serves all batches, however many elements they have.
CREATE OR REPLACE FUNCTION millrace.append_events(
    p_requests               int[],
    p_event_types            text[],
    p_aggregate_types        text[],
    p_aggregate_ids          text[],
    p_event_data             jsonb[],
    p_metadata               jsonb[]       DEFAULT NULL,
    p_event_ids              uuid[]        DEFAULT NULL,
    p_occurred_at            timestamptz[] DEFAULT NULL,
    p_payloads               bytea[]       DEFAULT NULL,
    p_content_types          text[]        DEFAULT NULL,
    p_expect_requests        int[]         DEFAULT NULL,
    p_expect_aggregate_types text[]        DEFAULT NULL,
    p_expect_aggregate_ids   text[]        DEFAULT NULL,
    -- -1: the stream exists; 0: it does not; n: it is exactly at n.
    p_expect_versions        int[]         DEFAULT NULL
) RETURNS TABLE (request int, outcome text, positions bigint[], versions int[], event_ids uuid[], conflicts jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_types  text[] := p_aggregate_types || p_expect_aggregate_types;
    v_ids    text[] := p_aggregate_ids || p_expect_aggregate_ids;
    v_unborn bigint;
    v_one    record;
BEGIN
    -- One event, which expects nothing, or something of its own stream.
    IF (cardinality(p_requests), cardinality(p_event_types), cardinality(p_aggregate_types), cardinality(p_aggregate_ids),
        cardinality(p_event_data), coalesce(cardinality(p_metadata), 1), coalesce(cardinality(p_event_ids), 1),
        coalesce(cardinality(p_occurred_at), 1), coalesce(cardinality(p_payloads), 1),
        coalesce(cardinality(p_content_types), 1)) = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
       AND (CASE coalesce(cardinality(p_expect_requests), 0)
           WHEN 0 THEN coalesce(cardinality(p_expect_versions), 0) = 0
               AND coalesce(cardinality(p_expect_aggregate_types), 0) = 0
               AND coalesce(cardinality(p_expect_aggregate_ids), 0) = 0
           WHEN 1 THEN p_expect_requests = p_requests AND p_expect_aggregate_types = p_aggregate_types
               AND p_expect_aggregate_ids = p_aggregate_ids AND cardinality(p_expect_versions) = 1
               AND p_expect_versions[1] IS NOT NULL
           ELSE false
       END) THEN
        SELECT a.* INTO v_one
        FROM millrace.append_single(
            p_requests[1], p_event_types[1], p_aggregate_types[1], p_aggregate_ids[1], p_event_data[1], p_metadata[1],
            p_event_ids[1], p_occurred_at[1], p_payloads[1], p_content_types[1], p_expect_versions[1]
        ) AS a;
        IF v_one.outcome IS NOT NULL THEN
            request := p_requests[1];
            outcome := v_one.outcome;
            IF outcome IN ('appended', 'duplicate') THEN
                positions := ARRAY[v_one.stored_position];
                versions := ARRAY[v_one.stored_version];
                event_ids := ARRAY[v_one.stored_event_id];
            END IF;
            conflicts := v_one.conflict;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    PERFORM millrace.check_batch(
        p_requests, p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata, p_event_ids,
        p_occurred_at, p_payloads, p_content_types,
        p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
    );
    v_unborn := millrace.hold_streams(v_types, v_ids);

    IF NOT millrace.requests_are_entangled(
        p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids,
        p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids
    ) THEN
        RETURN QUERY
        SELECT a.*
        FROM millrace.append_disentangled(
            p_requests, p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata, p_event_ids,
            p_occurred_at, p_payloads, p_content_types,
            p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
        ) AS a;
    ELSE
        FOR v_one IN
            SELECT e.*, x.types AS expect_types, x.ids AS expect_ids, x.versions AS expect_versions, x.requests AS expect_requests
            FROM (
                SELECT array_agg(n.request ORDER BY n.index) AS requests,
                       array_agg(n.event_type ORDER BY n.index) AS event_types,
                       array_agg(n.aggregate_type ORDER BY n.index) AS types,
                       array_agg(n.aggregate_id ORDER BY n.index) AS ids,
                       array_agg(n.event_data ORDER BY n.index) AS data,
                       array_agg(n.metadata ORDER BY n.index) AS metadata,
                       array_agg(n.event_id ORDER BY n.index) AS event_ids,
                       array_agg(n.occurred_at ORDER BY n.index) AS occurred_at,
                       array_agg(n.payload ORDER BY n.index) AS payloads,
                       array_agg(n.content_type ORDER BY n.index) AS content_types,
                       n.request AS request,
                       min(n.index) AS first_index
                FROM unnest(p_requests, p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata,
                            p_event_ids, p_occurred_at, p_payloads, p_content_types)
                    WITH ORDINALITY AS n (request, event_type, aggregate_type, aggregate_id, event_data, metadata,
                                          event_id, occurred_at, payload, content_type, index)
                GROUP BY n.request
            ) AS e
            LEFT JOIN (
                SELECT n.request, array_agg(n.request) AS requests, array_agg(n.aggregate_type) AS types,
                       array_agg(n.aggregate_id) AS ids, array_agg(n.version) AS versions
                FROM unnest(p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions)
                    AS n (request, aggregate_type, aggregate_id, version)
                GROUP BY n.request
            ) AS x ON x.request = e.request
            ORDER BY e.first_index
        LOOP
            RETURN QUERY
            SELECT a.*
            FROM millrace.append_disentangled(
                v_one.requests, v_one.event_types, v_one.types, v_one.ids, v_one.data, v_one.metadata, v_one.event_ids,
                v_one.occurred_at, v_one.payloads, v_one.content_types,
                v_one.expect_requests, v_one.expect_types, v_one.expect_ids, v_one.expect_versions
            ) AS a;
        END LOOP;
    END IF;

    IF v_unborn > 0 THEN
        PERFORM millrace.release_unborn_streams(v_types, v_ids);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.append_events(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.append_events(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) TO millrace_publisher, millrace_importer, millrace_admin;
