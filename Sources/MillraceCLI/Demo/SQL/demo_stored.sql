-- What is in the log of a run. $1 run, $2 the position before it began.
SELECT count(*) AS events,
       count(DISTINCT (e.aggregate_type, e.aggregate_id)) AS streams,
       coalesce(sum((e.event_data ->> 'cents')::bigint) FILTER (WHERE e.event_type = 'payment.completed'), 0)::bigint AS paid,
       coalesce(sum((e.event_data ->> 'refund')::bigint) FILTER (WHERE e.event_type = 'order.canceled'), 0)::bigint AS refunded
FROM millrace.events AS e
WHERE e.id > $2 AND e.metadata ->> 'correlation_id' = $1
