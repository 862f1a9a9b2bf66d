-- The months of the log, oldest first, the default partition last. The catalogue and the statistics collector only: no
-- table is read. rows_estimated is NULL where nobody has counted yet.
SELECT c.relname::text AS name,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' AS is_default,
       pg_catalog.pg_relation_size(c.oid) AS heap_bytes,
       pg_catalog.pg_total_relation_size(c.oid) AS total_bytes,
       nullif(greatest(c.reltuples::bigint, s.n_live_tup, -1), -1) AS rows_estimated
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE i.inhparent = 'millrace.events'::regclass
ORDER BY is_default, name
