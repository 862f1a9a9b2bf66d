-- What is true after a run, by the events as they are stored: nothing here goes through the code that it checks, but where it says so.
WITH orders AS (
    SELECT e.aggregate_id AS id,
           (array_agg(e.event_type ORDER BY e.version DESC))[1] AS last_type,
           max((e.event_data ->> 'cents')::bigint) AS cents,
           max(e.event_data ->> 'customer') AS customer,
           min((e.occurred_at AT TIME ZONE 'UTC')::date)
               FILTER (WHERE e.event_type IN ('order.paid', 'order.paid_and_packed')) AS paid_on
    FROM millrace.events AS e
    WHERE e.aggregate_type = 'order'
    GROUP BY e.aggregate_id
), expected AS (
    SELECT o.id, o.cents, o.customer, o.paid_on,
           CASE o.last_type
               WHEN 'order.created' THEN 'placed'
               WHEN 'order.paid_and_packed' THEN 'packed'
               ELSE split_part(o.last_type, '.', 2)
           END AS status
    FROM orders AS o
), summary AS (
    SELECT count(*) AS n, count(*) FILTER (
        WHERE (e.id, e.status, e.cents, e.paid_on) IS DISTINCT FROM (s.id, s.status, s.cents, s.paid_on)
    ) AS wrong
    FROM expected AS e FULL JOIN order_summary AS s ON s.id = e.id
), revenue_days AS (
    SELECT coalesce(sum(e.cents), 0)::bigint AS cents, (SELECT coalesce(sum(r.cents), 0)::bigint FROM revenue AS r) AS found
    FROM expected AS e
    WHERE e.paid_on IS NOT NULL AND e.status <> 'canceled'
), open AS (
    SELECT count(*) FILTER (WHERE o.id IS NOT NULL) AS n, count(*) FILTER (WHERE e.status IS DISTINCT FROM o.status) AS wrong
    FROM (SELECT x.id, x.status FROM expected AS x WHERE x.status NOT IN ('delivered', 'canceled')) AS e
    FULL JOIN open_orders AS o ON o.id = e.id
), states AS (
    SELECT count(*) AS n,
           count(*) FILTER (WHERE millrace.rebuild_aggregate('order', e.id) ->> 'status' IS DISTINCT FROM e.status) AS wrong
    FROM expected AS e
), receipts AS (
    SELECT count(*) AS n, count(DISTINCT r.aggregate_id) AS orders,
           count(*) FILTER (WHERE (r.event_data ->> 'cents')::bigint IS DISTINCT FROM e.cents) AS wrong
    FROM millrace.events AS r
    LEFT JOIN expected AS e ON e.id = r.aggregate_id
    WHERE r.aggregate_type = 'receipt'
)
SELECT 1 AS number, 'order_summary is what the log says' AS claim, format('%s orders, %s wrong', n, wrong) AS detail, wrong = 0 AS holds
FROM summary
UNION ALL
SELECT 2, 'revenue is what was paid and not canceled', format('%s cents of %s', found, cents), found = cents FROM revenue_days
UNION ALL
SELECT 3, 'open_orders is what is not finished', format('%s open, %s wrong', n, wrong), wrong = 0 FROM open
UNION ALL
SELECT 4, 'the reducer agrees, as in millrace rebuild order …', format('%s states, %s wrong', n, wrong), wrong = 0 FROM states
UNION ALL
SELECT 5, 'one receipt an order', format('%s receipts of %s orders, %s wrong', r.n, s.n, r.wrong),
       r.n = s.n AND r.orders = s.n AND r.wrong = 0
FROM receipts AS r CROSS JOIN states AS s
ORDER BY number
