-- The state of an aggregate from its events: their objects merged in version order. NULL where the aggregate has no event
-- (as of then); what is not an object changes nothing.
--
-- As of a version, or of a time, which is the time the publisher says it happened (occurred_at; unless given, the time it
-- was stored): imported history can be walked through as it happened. Of no version beyond the one that the stream's row
-- says, for read_stream's reason.
CREATE OR REPLACE FUNCTION millrace.rebuild_aggregate(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_version        int         DEFAULT NULL,
    p_at             timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_state  jsonb;
    v_stream millrace.streams;
BEGIN
    SELECT s.* INTO v_stream
    FROM millrace.streams AS s
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;

    SELECT CASE WHEN count(*) > 0
        THEN coalesce(
            millrace.jsonb_merge(e.event_data ORDER BY e.version) FILTER (WHERE jsonb_typeof(e.event_data) = 'object'),
            '{}'
        )
    END INTO v_state
    FROM millrace.events AS e
    WHERE e.aggregate_type = p_aggregate_type AND e.aggregate_id = p_aggregate_id
      AND e.version <= least(p_version, v_stream.version)
      AND e.created_at BETWEEN v_stream.first_event_at AND v_stream.last_event_at
      AND (p_at IS NULL OR e.occurred_at <= p_at);
    RETURN v_state;
END
$$;

REVOKE ALL ON FUNCTION millrace.rebuild_aggregate(text, text, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.rebuild_aggregate(text, text, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
