-- Shipping packs what is paid and stops what is canceled; an order may be both within one page.
-- $1 run, $2 paid orders, $3 canceled orders.
INSERT INTO millrace_demo.shipments AS s (run, order_id, status)
SELECT $1, o.order_id, CASE WHEN o.order_id = ANY ($3::text[]) THEN 'stopped' ELSE 'packing' END
FROM (SELECT unnest($2::text[]) UNION SELECT unnest($3::text[])) AS o (order_id)
ON CONFLICT (run, order_id) DO UPDATE SET status = 'stopped'
