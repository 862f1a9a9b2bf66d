-- The commands that drop what is still in one of the states $1 and is named $2, and before it what of the like depends on
-- it (the scripts that come later create that again). Where $2 is NULL: everything that no script has replaced, except for
-- what tables need (a trigger's function) and what belongs to an extension.
WITH RECURSIVE present AS (
    SELECT p.tableoid AS classid, p.oid AS objid, p.proname::text AS name,
           pg_catalog.format('%s %s %s', p.tableoid, p.oid, p.xmin) AS state,
           pg_catalog.format('DROP ROUTINE %s', p.oid::regprocedure) AS command
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'millrace'::regnamespace
    UNION ALL
    SELECT c.tableoid, c.oid, c.relname::text, pg_catalog.format('%s %s %s', c.tableoid, c.oid, r.xmin),
           pg_catalog.format('DROP VIEW %s', c.oid::regclass)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = c.oid
    WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'v'
), stale AS (
    SELECT p.classid, p.objid, p.name, p.command
    FROM present AS p
    WHERE p.state = ANY ($1::text[])
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = p.classid AND d.objid = p.objid AND d.deptype = 'e'
      )
      AND ($2::text IS NOT NULL OR NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.refclassid = p.classid AND d.refobjid = p.objid AND d.deptype IN ('n', 'a')
            AND d.classid NOT IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_rewrite'::regclass)
      ))
), doomed AS (
    SELECT s.classid, s.objid, s.command, 0 AS depth
    FROM stale AS s
    WHERE $2::text IS NULL OR s.name = $2::text
    UNION
    SELECT s.classid, s.objid, s.command, u.depth + 1
    FROM doomed AS u
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = u.classid AND d.refobjid = u.objid
    LEFT JOIN pg_catalog.pg_rewrite AS r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
    JOIN stale AS s
        ON s.classid = CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass END
        AND s.objid = coalesce(r.ev_class, d.objid)
    WHERE (s.classid, s.objid) <> (u.classid, u.objid) AND u.depth < 32
)
SELECT d.command
FROM doomed AS d
GROUP BY d.classid, d.objid, d.command
ORDER BY max(d.depth) DESC, d.command;
