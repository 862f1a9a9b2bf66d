-- How often a function of Millrace was called, and the time spent in it. No row where it was not, or where nobody counts.
SELECT sum(f.calls)::bigint, sum(f.total_time)::float8
FROM pg_stat_user_functions AS f
WHERE f.schemaname = 'millrace' AND f.funcname = $1
HAVING sum(f.calls) > 0
