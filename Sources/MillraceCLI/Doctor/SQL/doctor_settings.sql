-- Of these settings what a new session of this role in this database begins with, in the setting's own unit.
SELECT s.name, s.reset_val AS value, coalesce(s.unit, '') AS unit
FROM pg_catalog.pg_settings AS s
WHERE s.name = ANY ($1)
