-- Who owns the schema; no row where there is none.
SELECT r.rolname::text AS owner,
       pg_catalog.pg_has_role(current_user, n.nspowner, 'USAGE') AS is_mine,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS is_usable,
       pg_catalog.pg_has_role(n.nspowner, 'pg_read_all_stats', 'USAGE') AS owner_sees_sessions
FROM pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
WHERE n.nspname = 'millrace'
