-- The default partition: no row where there is none. Its rows are the statistics collector's, the bytes the file's.
SELECT c.oid::regclass::text AS name,
       pg_catalog.pg_relation_size(c.oid) AS heap_bytes,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS is_readable
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'millrace.events'::regclass AND pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'
