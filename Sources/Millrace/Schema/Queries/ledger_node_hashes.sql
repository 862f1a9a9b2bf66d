-- The hashes of complete subtrees of a level, from the first to, not including, the last.
SELECT n.hash
FROM millrace.ledger_nodes AS n
WHERE n.level = $1 AND n.index >= $2 AND n.index < $3
ORDER BY n.index
