-- Sessions whose snapshot is older than $1 seconds: whatever was replaced since then stays in the tables. At most $2, the oldest first.
SELECT a.pid,
       coalesce(a.usename, '')::text AS owner,
       coalesce(a.application_name, '') AS application,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database()
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.backend_type <> 'autovacuum worker'
  AND a.backend_xmin IS NOT NULL
  AND a.xact_start <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1)
ORDER BY a.xact_start
LIMIT $2
