SELECT c.checkpoint
FROM millrace_checkpoints AS c
WHERE c.origin = $1
ORDER BY c.tree_size DESC
LIMIT 1
