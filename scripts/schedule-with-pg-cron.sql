-- Lets pg_cron do what the daemon does otherwise: run SQL handlers, count events, make months ahead, close those that are
-- over, and trim the audit.
--
--   psql -v ON_ERROR_STOP=1 -d <database> -f scripts/schedule-with-pg-cron.sql
--
-- Needs the extension pg_cron 1.5 or newer in shared_preload_libraries, and cron.database_name set to Millrace's database. (In another
-- one: create the extension there, and use cron.schedule_in_database with Millrace's database as the last argument.) Run it as the role
-- that is to process the events: a member of millrace_admin, of millrace_consumer, and of what the handlers' functions write. A function is
-- run only where its owner may act as that role.
--
-- Safe to repeat: a job of the same name is replaced. To end one: SELECT cron.unschedule('millrace handlers').
CREATE EXTENSION IF NOT EXISTS pg_cron;

-- Every second; no two runs of the same job are under way at once.
SELECT cron.schedule('millrace handlers', '1 seconds', $$SELECT * FROM millrace.run_sql_handlers(5000)$$);

-- For millrace.event_processing_stats to stay quick, whatever the log grows by.
SELECT cron.schedule('millrace counts', '10 seconds', $$SELECT millrace.count_events()$$);

-- Daily, at a time of its own; three months ahead leave time to notice that it has stopped.
SELECT cron.schedule('millrace partitions', '17 1 * * *', $$SELECT * FROM millrace.make_partitions(3)$$);

-- A step a call, and each in a transaction of its own; hourly, so that a month is closed within hours of its end.
SELECT cron.schedule('millrace months', '27 * * * *', $$SELECT millrace.close_months()$$);

-- Of what the handlers' audit has beyond store.audit_kept, more than comes in ten minutes at a good rate.
SELECT cron.schedule('millrace audit', '*/10 * * * *', $$SELECT millrace.trim_audit(1000000)$$);

-- What pg_cron remembers of each run would grow for ever: a week is kept.
SELECT cron.schedule('millrace run details', '37 2 * * *',
                     $$DELETE FROM cron.job_run_details WHERE end_time < now() - interval '7 days'$$);
