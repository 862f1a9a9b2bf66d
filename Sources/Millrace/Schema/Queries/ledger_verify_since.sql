-- The first block that holds an event at a position or after it, or that was sealed at a time or after it.
SELECT min(b.number)
FROM millrace.ledger_blocks AS b
WHERE b.number <= $1 AND (b.last_position >= $2 OR b.sealed_at >= $3)
