-- Events by type: of a sample of $1 percent of the table's blocks, which at 100 percent is all of it. Only as many blocks
-- are read. The $2 most frequent types; events and types are over all of them.
SELECT e.event_type,
       count(*) AS count,
       (sum(count(*)) OVER ())::bigint AS events,
       count(*) OVER () AS types
FROM millrace.events AS e TABLESAMPLE SYSTEM ($1::float8::real)
GROUP BY e.event_type
ORDER BY count(*) DESC, e.event_type
LIMIT $2
