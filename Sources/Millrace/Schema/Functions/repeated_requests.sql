-- Of the requests that name an event id which is stored already, or twice themselves: a duplicate has all its events
-- stored, each in the stream it names; anything else is partly repeated and can never be stored as it is.
CREATE OR REPLACE FUNCTION millrace.repeated_requests(
    p_requests int[], p_aggregate_types text[], p_aggregate_ids text[], p_event_ids uuid[]
) RETURNS TABLE (request int, outcome text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RETURN QUERY
    SELECT n.request,
           CASE
               WHEN count(*) = count(DISTINCT n.event_id)
                    AND bool_and(e.aggregate_type IS NOT DISTINCT FROM n.aggregate_type
                                 AND e.aggregate_id IS NOT DISTINCT FROM n.aggregate_id)
               THEN 'duplicate'
               ELSE 'partly_repeated'
           END
    FROM unnest(p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids)
        AS n (request, aggregate_type, aggregate_id, event_id)
    LEFT JOIN millrace.find_events(p_event_ids) AS e ON e.event_id = n.event_id
    GROUP BY n.request
    HAVING count(e.event_id) > 0 OR count(n.event_id) > count(DISTINCT n.event_id);
END
$$;

REVOKE ALL ON FUNCTION millrace.repeated_requests(int[], text[], text[], uuid[]) FROM PUBLIC;
