SELECT b.number, b.previous_hash, b.block_hash, b.first_position, b.last_position, b.first_leaf, b.tree_size, b.root_hash,
       b.sealed_at, b.key_number, b.signature
FROM millrace.ledger_blocks AS b
WHERE b.number >= $1 AND b.number <= $2
ORDER BY b.number
LIMIT $3
