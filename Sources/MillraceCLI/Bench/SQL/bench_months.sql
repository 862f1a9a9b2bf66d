-- Partitions of this month and of the $1 months before it; their number.
SELECT count(millrace.make_partition((date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => m))::date))
FROM generate_series(0, $1::int - 1) AS m
