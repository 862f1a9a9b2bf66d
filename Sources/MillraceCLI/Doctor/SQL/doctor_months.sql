-- This month and the next $1 ones, in UTC, and whether a partition is there for each.
WITH partitions AS (
    SELECT pg_catalog.regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(.*)''\) TO \(''(.*)''\)') AS bounds
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'millrace.events'::regclass
), months AS (
    SELECT pg_catalog.date_trunc('month', pg_catalog.now() AT TIME ZONE 'UTC') + pg_catalog.make_interval(months => n) AS month
    FROM pg_catalog.generate_series(0, $1::int) AS n
)
SELECT pg_catalog.to_char(m.month, 'YYYY-MM') AS month,
       EXISTS (
           SELECT
           FROM partitions AS p
           WHERE p.bounds[1]::timestamptz <= m.month AT TIME ZONE 'UTC' AND p.bounds[2]::timestamptz > m.month AT TIME ZONE 'UTC'
       ) AS is_present
FROM months AS m
ORDER BY m.month
