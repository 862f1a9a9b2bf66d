-- Makes the partitions of this month and the next ones, where they are missing.
SELECT p.partition_name, p.outcome
FROM millrace.make_partitions() AS p
ORDER BY p.month NULLS FIRST
