-- Those of the wanted subtrees that are stored.
SELECT n.level, n.index, n.hash
FROM unnest($1::int[], $2::bigint[]) AS w (level, index)
JOIN millrace.ledger_nodes AS n ON n.level = w.level AND n.index = w.index
