-- The first block that reaches as far as this position.
SELECT b.number, b.previous_hash, b.first_position, b.last_position, b.first_leaf, b.tree_size, b.root_hash,
       (extract(epoch FROM b.sealed_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint AS sealed_at, b.block_hash
FROM millrace.ledger_blocks AS b
WHERE b.last_position >= $1
ORDER BY b.last_position
LIMIT 1
