-- The ledger, where one is kept, in seconds; and what a place outside could not be told last.
SELECT s.origin, s.blocks, s.tree_size, s.unsealed, extract(epoch FROM s.seal_interval)::float8 AS seal_interval,
       coalesce(extract(epoch FROM s.unsealed_for), 0)::float8 AS unsealed_for, p.target, p.error
FROM millrace.ledger_status() AS s
LEFT JOIN (SELECT n.target, n.error FROM millrace.ledger_publications AS n WHERE n.error IS NOT NULL) AS p ON true
ORDER BY p.target
