-- The hashes of the leaves from the first to, not including, the last: what each stored run has of them.
SELECT substring(l.leaf_hashes FROM (32 * (greatest(l.first_leaf, $1) - l.first_leaf))::int + 1
                 FOR (32 * (least(l.first_leaf + cardinality(l.positions), $2) - greatest(l.first_leaf, $1)))::int)
FROM millrace.ledger_leaves AS l
WHERE l.first_leaf >= coalesce((SELECT max(b.first_leaf) FROM millrace.ledger_leaves AS b WHERE b.first_leaf <= $1), 0)
  AND l.first_leaf < $2
  AND l.first_leaf + cardinality(l.positions) > $1
ORDER BY l.first_leaf
