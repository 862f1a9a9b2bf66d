SELECT count(*) FILTER (WHERE e.event_type = 'transfer.requested')
           - count(*) FILTER (WHERE e.event_type IN ('transfer.completed', 'transfer.failed')) AS open,
       count(*) FILTER (WHERE e.event_type IN ('transfer.completed', 'transfer.failed')) AS ended
FROM millrace.events AS e
WHERE e.aggregate_type = 'transfer'
