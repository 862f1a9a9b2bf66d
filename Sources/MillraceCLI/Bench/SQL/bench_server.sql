-- Who we are and what we may do here.
SELECT current_setting('server_version'), current_setting('server_version_num')::int, r.rolcreatedb OR r.rolsuper, r.rolname::text
FROM pg_roles AS r
WHERE r.rolname = current_user
