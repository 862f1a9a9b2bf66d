-- What the second version of the summary says in addition.
SELECT 'each order has its customer' AS claim, format('%s of %s', count(s.customer), count(*)) AS detail,
       count(*) = count(*) FILTER (WHERE s.customer = e.event_data ->> 'customer') AS holds
FROM millrace.events AS e
LEFT JOIN order_summary AS s ON s.id = e.aggregate_id
WHERE e.aggregate_type = 'order' AND e.version = 1
