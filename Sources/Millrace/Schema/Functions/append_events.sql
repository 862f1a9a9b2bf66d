-- Appends requests, each all-or-nothing and independent of the others, in their order; one row out per request.
--
-- First as if nothing could be wrong: append_at_once, or for a call of one event append_event. Nearly always that is all.
-- Where an expectation fails, an event id is there already, or an argument is not what it should be, what they did is
-- undone (the subtransaction with its locks, its fence and its rows; only positions are used up), and append_carefully
-- decides, request by request.
--
-- Hashing and one generic plan, because the planner knows nothing of the arrays, and its plan serves all of them.
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
SET enable_nestloop = off SET plan_cache_mode = force_generic_plan SET millrace.advances_streams = on
AS $$
BEGIN
    BEGIN
        IF cardinality(p_requests) > 1 THEN
            RETURN QUERY
            SELECT a.request, a.outcome, a.positions, a.versions, a.event_ids, a.conflicts
            FROM millrace.append_at_once(
                p_requests, p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata, p_event_ids,
                p_occurred_at, p_payloads, p_content_types,
                p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
            ) AS a;
            RETURN;
        ELSIF millrace.is_single(
            p_requests, p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata, p_event_ids,
            p_occurred_at, p_payloads, p_content_types,
            p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
        ) THEN
            RETURN QUERY
            SELECT p_requests[1], a.outcome, a.positions, a.versions, a.event_ids, a.conflicts
            FROM millrace.append_event(
                p_event_types[1], p_aggregate_types[1], p_aggregate_ids[1], p_event_data[1], p_metadata[1],
                p_event_ids[1], p_occurred_at[1], p_payloads[1], p_content_types[1], p_expect_versions[1]
            ) AS a;
            RETURN;
        END IF;
    EXCEPTION
        -- The last two: a name that is missing, or too long for an index.
        WHEN SQLSTATE 'MR000' OR unique_violation OR not_null_violation OR program_limit_exceeded THEN
            NULL;
    END;

    RETURN QUERY
    SELECT a.request, a.outcome, a.positions, a.versions, a.event_ids, a.conflicts
    FROM millrace.append_carefully(
        p_requests, p_event_types, p_aggregate_types, p_aggregate_ids, p_event_data, p_metadata, p_event_ids,
        p_occurred_at, p_payloads, p_content_types,
        p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions
    ) AS a;
END
$$;

REVOKE ALL ON FUNCTION millrace.append_events(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.append_events(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) TO millrace_publisher, millrace_importer, millrace_admin;
