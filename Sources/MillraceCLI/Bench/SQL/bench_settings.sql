-- The settings that decide about the figures.
SELECT s.name, current_setting(s.name)
FROM pg_settings AS s
WHERE s.name IN ('autovacuum', 'checkpoint_timeout', 'commit_delay', 'full_page_writes', 'fsync', 'jit', 'max_connections',
                 'max_wal_size', 'shared_buffers', 'synchronous_commit', 'synchronous_standby_names', 'track_functions',
                 'wal_compression', 'wal_level', 'wal_sync_method')
ORDER BY s.name
