-- The routines and views of the schema as they are before their scripts run. Whatever a script replaces gets another xmin; a
-- view's row may stay, its rule does not.
SELECT pg_catalog.format('%s %s %s', p.tableoid, p.oid, p.xmin) AS state
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = 'millrace'::regnamespace
UNION ALL
SELECT pg_catalog.format('%s %s %s', c.tableoid, c.oid, r.xmin)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = c.oid
WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'v'
ORDER BY state;
