-- Replication slots and how much WAL each keeps.
SELECT s.slot_name::text AS name,
       s.active AS is_active,
       coalesce(s.wal_status, 'unknown') AS wal_status,
       pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,
           s.restart_lsn
       )::bigint AS bytes_behind
FROM pg_catalog.pg_replication_slots AS s
ORDER BY s.slot_name
LIMIT $1
