-- Sizes as the file system knows them.
SELECT pg_catalog.current_database()::text AS name,
       pg_catalog.pg_database_size(pg_catalog.current_database()) AS database_bytes,
       pg_catalog.pg_relation_size('millrace.streams') AS streams_heap_bytes,
       pg_catalog.pg_total_relation_size('millrace.streams') AS streams_bytes
