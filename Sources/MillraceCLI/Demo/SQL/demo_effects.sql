-- What the consumers made of a run. $1 run.
SELECT (SELECT coalesce(sum(i.cents), 0)::bigint FROM millrace_demo.invoices AS i WHERE i.run = $1) AS invoiced,
       (SELECT coalesce(sum(r.cents), 0)::bigint FROM millrace_demo.revenue AS r WHERE r.run = $1) AS revenue,
       (SELECT count(*) FROM millrace_demo.shipments AS s WHERE s.run = $1 AND s.status = 'packing') AS packing,
       (SELECT count(*) FROM millrace_demo.shipments AS s WHERE s.run = $1 AND s.status = 'stopped') AS stopped
