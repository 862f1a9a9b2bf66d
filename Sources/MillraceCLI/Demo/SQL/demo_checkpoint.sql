SELECT c.position
FROM millrace_demo.checkpoints AS c
WHERE c.run = $1 AND c.consumer = $2
