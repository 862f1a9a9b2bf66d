-- The server hashes, so that the same text has the same checksum whatever built the library.
SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(t.sql, 'UTF8')), 'hex') AS checksum
FROM unnest($1::text[]) WITH ORDINALITY AS t (sql, index)
ORDER BY t.index;
