-- Prepared transactions of this database, the oldest first.
SELECT x.gid, x.owner::text AS owner, extract(epoch FROM pg_catalog.now() - x.prepared)::float8 AS seconds
FROM pg_catalog.pg_prepared_xacts AS x
WHERE x.database = pg_catalog.current_database()
ORDER BY x.prepared
LIMIT $1
