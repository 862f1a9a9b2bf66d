-- Whether any expectation of a call to append_at_once does not hold, or is one that only append_carefully can judge: of a stream
-- that the request does not write, or that another request writes too. p_versions are those given to the events.
CREATE OR REPLACE FUNCTION millrace.an_expectation_fails(
    p_requests int[], p_aggregate_types text[], p_aggregate_ids text[], p_versions int[],
    p_expect_requests int[], p_expect_aggregate_types text[], p_expect_aggregate_ids text[], p_expect_versions int[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM unnest(p_expect_requests, p_expect_aggregate_types, p_expect_aggregate_ids, p_expect_versions)
            AS x (request, aggregate_type, aggregate_id, version)
        LEFT JOIN (
            SELECT n.aggregate_type, n.aggregate_id, min(n.version) - 1 AS base,
                   min(n.request) AS first_request, max(n.request) AS last_request
            FROM unnest(p_aggregate_types, p_aggregate_ids, p_versions, p_requests)
                AS n (aggregate_type, aggregate_id, version, request)
            GROUP BY n.aggregate_type, n.aggregate_id
        ) AS s ON s.aggregate_type = x.aggregate_type AND s.aggregate_id = x.aggregate_id
        WHERE (s.first_request = x.request AND s.last_request = x.request
               AND CASE x.version WHEN -1 THEN s.base > 0 ELSE s.base = x.version END) IS NOT TRUE
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.an_expectation_fails(int[], text[], text[], int[], int[], text[], text[], int[]) FROM PUBLIC;
