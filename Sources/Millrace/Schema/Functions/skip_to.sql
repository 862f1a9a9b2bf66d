-- Counts what lies at or below a position as none of a handler's, and nothing as handled.
CREATE OR REPLACE FUNCTION millrace.skip_to(p_handler_id text, p_position bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    DELETE FROM millrace.handler_counts AS c WHERE c.handler_id = p_handler_id;
    IF p_position > 0 THEN
        INSERT INTO millrace.handler_counts (handler_id, lane, event_type, skipped)
        SELECT h.handler_id, -1, t.event_type, sum(t.events)
        FROM millrace.event_handlers AS h
        JOIN millrace.events_by_type(p_position) AS t
            ON (h.event_types IS NULL OR t.event_type = ANY (h.event_types))
            AND (h.aggregate_types IS NULL OR t.aggregate_type = ANY (h.aggregate_types))
        WHERE h.handler_id = p_handler_id
        GROUP BY h.handler_id, t.event_type;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.skip_to(text, bigint) FROM PUBLIC;
