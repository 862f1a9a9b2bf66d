-- The ends of the log, one index entry a month, and how many stored events lie above the horizon $1: at most $2 are counted.
SELECT (SELECT e.id FROM millrace.events AS e ORDER BY e.id LIMIT 1) AS first,
       (SELECT e.id FROM millrace.events AS e ORDER BY e.id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM (SELECT FROM millrace.events AS e WHERE e.id > $1 LIMIT $2) AS above) AS behind
