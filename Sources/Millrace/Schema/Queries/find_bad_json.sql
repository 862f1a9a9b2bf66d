-- The first of these documents that jsonb cannot hold, and why. What the input function does not report but raises (bytes
-- that are not UTF-8, nesting beyond the stack) fails the whole statement.
SELECT d.index::int - 1 AS index, e.message, e.detail
FROM unnest($1::bytea[]) WITH ORDINALITY AS d (document, index)
CROSS JOIN LATERAL pg_catalog.pg_input_error_info(pg_catalog.convert_from(d.document, 'UTF8'), 'jsonb') AS e
WHERE e.message IS NOT NULL
ORDER BY d.index
LIMIT 1;
