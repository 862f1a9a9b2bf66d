-- Billing writes an invoice for each payment. $1 run, $2 orders, $3 cents.
INSERT INTO millrace_demo.invoices (run, order_id, cents)
SELECT $1, p.order_id, p.cents
FROM unnest($2::text[], $3::bigint[]) AS p (order_id, cents)
