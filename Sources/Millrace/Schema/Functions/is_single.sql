-- Whether a call of append_events has one event, which expects nothing, or one thing of its own stream.
CREATE OR REPLACE FUNCTION millrace.is_single(
    p_requests int[], p_event_types text[], p_aggregate_types text[], p_aggregate_ids text[], p_event_data jsonb[],
    p_metadata jsonb[], p_event_ids uuid[], p_occurred_at timestamptz[], p_payloads bytea[], p_content_types text[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS boolean
LANGUAGE sql IMMUTABLE SECURITY INVOKER
AS $$
    SELECT (cardinality(p_requests), cardinality(p_event_types), cardinality(p_aggregate_types), cardinality(p_aggregate_ids),
            cardinality(p_event_data), coalesce(cardinality(p_metadata), 1), coalesce(cardinality(p_event_ids), 1),
            coalesce(cardinality(p_occurred_at), 1), coalesce(cardinality(p_payloads), 1),
            coalesce(cardinality(p_content_types), 1)) = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
       AND p_requests[1] IS NOT NULL
       -- Only then is the element with the subscript 1 all there is.
       AND (array_lower(p_requests, 1), array_lower(p_event_types, 1), array_lower(p_aggregate_types, 1),
            array_lower(p_aggregate_ids, 1), array_lower(p_event_data, 1), coalesce(array_lower(p_metadata, 1), 1),
            coalesce(array_lower(p_event_ids, 1), 1), coalesce(array_lower(p_occurred_at, 1), 1),
            coalesce(array_lower(p_payloads, 1), 1), coalesce(array_lower(p_content_types, 1), 1))
           = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
       AND (array_ndims(p_requests), array_ndims(p_event_types), array_ndims(p_aggregate_types), array_ndims(p_aggregate_ids),
            array_ndims(p_event_data), coalesce(array_ndims(p_metadata), 1), coalesce(array_ndims(p_event_ids), 1),
            coalesce(array_ndims(p_occurred_at), 1), coalesce(array_ndims(p_payloads), 1),
            coalesce(array_ndims(p_content_types), 1)) = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
       AND CASE coalesce(cardinality(p_expect_requests), 0)
           WHEN 0 THEN coalesce(cardinality(p_expect_versions), 0) = 0
               AND coalesce(cardinality(p_expect_aggregate_types), 0) = 0
               AND coalesce(cardinality(p_expect_aggregate_ids), 0) = 0
           WHEN 1 THEN p_expect_requests = p_requests AND p_expect_aggregate_types = p_aggregate_types
               AND p_expect_aggregate_ids = p_aggregate_ids AND cardinality(p_expect_versions) = 1
               AND p_expect_versions[1] >= -1
           ELSE false
       END
$$;

REVOKE ALL ON FUNCTION millrace.is_single(
    int[], text[], text[], text[], jsonb[], jsonb[], uuid[], timestamptz[], bytea[], text[], int[], text[], text[], int[]
) FROM PUBLIC;
