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
           CASE WHEN bool_and(n.stored) AND count(*) = count(DISTINCT n.event_id) THEN 'duplicate' ELSE 'partly_repeated' END
    FROM (
        SELECT u.request, u.event_id,
               count(e.event_id) > 0 AS taken,
               coalesce(bool_or(e.aggregate_type = u.aggregate_type AND e.aggregate_id = u.aggregate_id), false) AS stored
        FROM unnest(p_requests, p_aggregate_types, p_aggregate_ids, p_event_ids)
            WITH ORDINALITY AS u (request, aggregate_type, aggregate_id, event_id, index)
        LEFT JOIN millrace.find_events(p_event_ids) AS e ON e.event_id = u.event_id
        GROUP BY u.index, u.request, u.event_id
    ) AS n
    GROUP BY n.request
    HAVING bool_or(n.taken) OR count(n.event_id) > count(DISTINCT n.event_id);
END
$$;

REVOKE ALL ON FUNCTION millrace.repeated_requests(int[], text[], text[], uuid[]) FROM PUBLIC;
