-- Whether the default partition holds events.
SELECT EXISTS (SELECT FROM millrace.events_default) AS holds_events
