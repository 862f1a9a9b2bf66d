-- What this session has counted is handed in when this statement ends, not some seconds later.
SELECT pg_stat_force_next_flush()
