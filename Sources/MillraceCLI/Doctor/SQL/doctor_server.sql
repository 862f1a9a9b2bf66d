-- The server and who asks. Runs on older servers too.
SELECT pg_catalog.current_setting('server_version_num')::int AS version_number,
       pg_catalog.current_setting('server_version') AS version,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       pg_catalog.current_database()::text AS database,
       (SELECT pg_catalog.pg_encoding_to_char(d.encoding)::text
        FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()) AS encoding,
       current_user::text AS role,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) AS is_superuser,
       (SELECT coalesce(pg_catalog.array_agg(r.rolname::text ORDER BY r.rolname), '{}')
        FROM pg_catalog.pg_roles AS r
        WHERE r.rolname LIKE 'millrace\_%' AND pg_catalog.pg_has_role(current_user, r.oid, 'USAGE')) AS millrace_roles,
       pg_catalog.pg_notification_queue_usage() AS notification_queue
