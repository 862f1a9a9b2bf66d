SELECT p.partition_name, p.outcome
FROM millrace.make_partitions() AS p
ORDER BY p.month NULLS FIRST;
