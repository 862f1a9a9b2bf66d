-- Which leaf the event at a position is, among the leaves from the first to, not including, the last.
SELECT l.first_leaf + array_position(l.positions, $3) - 1
FROM millrace.ledger_leaves AS l
WHERE l.first_leaf >= $1 AND l.first_leaf < $2
  AND l.positions[1] <= $3 AND l.positions[cardinality(l.positions)] >= $3
  AND array_position(l.positions, $3) IS NOT NULL
ORDER BY l.first_leaf
LIMIT 1
