SELECT l.first_leaf, l.positions, l.leaf_hashes, l.column_digests
FROM millrace.ledger_leaves AS l
WHERE l.first_leaf >= $1 AND l.first_leaf < $2
ORDER BY l.first_leaf
LIMIT $3
