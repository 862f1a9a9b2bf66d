-- The publication for change data capture; no row where it is missing.
SELECT p.pubinsert AND p.pubviaroot AS is_as_made,
       EXISTS (
           SELECT
           FROM pg_catalog.pg_publication_tables AS t
           WHERE t.pubname = p.pubname AND t.schemaname = 'millrace' AND t.tablename = 'events'
       ) AS has_events
FROM pg_catalog.pg_publication AS p
WHERE p.pubname = 'event_publication'
