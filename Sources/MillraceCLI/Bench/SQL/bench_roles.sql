-- Millrace's roles belong to the whole server: those that were not here before go with the database.
SELECT r.rolname::text FROM pg_roles AS r WHERE r.rolname LIKE 'millrace\_%' AND NOT r.rolcanlogin ORDER BY r.rolname
