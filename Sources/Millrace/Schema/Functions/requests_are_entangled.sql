-- Whether one request's outcome may depend on another's in the same call: an event id occurs twice, or requests share a
-- stream of which at least one of them expects something.
CREATE OR REPLACE FUNCTION millrace.requests_are_entangled(
    p_requests int[], p_aggregate_types text[], p_aggregate_ids text[], p_event_ids uuid[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    IF p_requests[1] = ALL (p_requests) THEN
        RETURN false;
    END IF;
    IF p_event_ids IS NOT NULL AND (
        SELECT count(n.event_id) > count(DISTINCT n.event_id) FROM unnest(p_event_ids) AS n (event_id)
    ) THEN
        RETURN true;
    END IF;
    RETURN p_expect_requests IS NOT NULL AND EXISTS (
        SELECT
        FROM (
            SELECT n.aggregate_type, n.aggregate_id, n.request, false AS expected
            FROM unnest(p_aggregate_types, p_aggregate_ids, p_requests) AS n (aggregate_type, aggregate_id, request)
            UNION
            SELECT n.aggregate_type, n.aggregate_id, n.request, true
            FROM unnest(p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_requests)
                AS n (aggregate_type, aggregate_id, request)
        ) AS touched
        GROUP BY touched.aggregate_type, touched.aggregate_id
        HAVING bool_or(touched.expected) AND min(touched.request) < max(touched.request)
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.requests_are_entangled(int[], text[], text[], uuid[], int[], text[], text[]) FROM PUBLIC;
