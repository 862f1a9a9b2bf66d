-- Per event type and handler: how many events, what became of them, and how long that took.
CREATE OR REPLACE VIEW millrace.event_processing_stats AS
SELECT s.event_type, s.handler_id, s.total_events, s.processed_events, s.pending_events, s.failed_events, s.avg_processing_time,
       s.p99_processing_time
FROM millrace.list_processing_stats() AS s;

REVOKE ALL ON millrace.event_processing_stats FROM PUBLIC;
GRANT SELECT ON millrace.event_processing_stats TO millrace_consumer, millrace_admin;
