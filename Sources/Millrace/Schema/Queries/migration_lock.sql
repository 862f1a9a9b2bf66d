-- One migrator at a time in a database; the class next to those of the fence and of make_partitions. Held by the
-- transaction, so that it also works through a pooler, and goes with whoever held it.
SELECT pg_catalog.pg_advisory_xact_lock(x'4D54'::bigint << 48);
