-- What append_events does with a call that append_at_once gave back: looks before it writes, and says what is wrong.
--
-- All stream rows of the call are locked in one fixed order before anything else is read. Then, as long as no request's
-- fate can depend on another's (they share no stream that one has an expectation of, and repeat no event id), all are
-- decided and stored by the same few statements. Otherwise they are stored one after the other, and each sees what the one
-- before it did because it really comes later.
--
-- The work must be in proportion to the batch whatever the planner believes of the tables: it may have seen them empty, and
-- its plan stays cached. So tables are only looked up through LATERAL (… LIMIT 1), which cannot be turned round, never
-- scanned; arrays are joined to each other by hashing; and one plan serves all batches, however many elements they have.
CREATE OR REPLACE FUNCTION millrace.append_carefully(
    p_requests int[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_event_data jsonb[],
    p_metadata jsonb[], p_event_ids uuid[], p_occurred_at timestamptz[], p_payloads bytea[], p_content_types text[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS TABLE (request int, outcome text, positions bigint[], versions int[], event_ids uuid[], conflicts jsonb)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_types  text[] := p_aggregate_types || p_expect_aggregate_types;
    v_ids    text[] := p_aggregate_ids || p_expect_aggregate_ids;
    v_unborn bigint;
    v_one    record;
BEGIN
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

REVOKE ALL ON FUNCTION millrace.append_carefully(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
