-- As page_events, with what the ledger seals: every column of an event, in the order of an entry.
SELECT e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version, e.event_data, e.metadata, e.occurred_at,
       e.created_at, e.payload, e.content_type, e.previous_hash, e.current_hash
FROM millrace.events AS e
WHERE e.id > $1
  AND e.id <= current_setting('millrace.page_up_to')::bigint
  AND (e.created_at >= current_setting('millrace.page_open_since')::timestamptz
       OR e.created_at >= current_setting('millrace.page_stored_from')::timestamptz
          AND e.created_at < current_setting('millrace.page_stored_before')::timestamptz)
ORDER BY e.id
LIMIT $2
