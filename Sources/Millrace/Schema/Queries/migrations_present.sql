-- Before the first migration there is no table to ask.
SELECT pg_catalog.to_regclass('millrace.schema_migrations') IS NOT NULL AS present;
