INSERT INTO millrace_checkpoints (origin, tree_size, block_number, checkpoint)
VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT millrace_checkpoints_pkey DO NOTHING
