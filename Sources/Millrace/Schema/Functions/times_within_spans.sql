-- For each event of append_at_once the time it is stored at, where that is not the time the call began: now, but no later than
-- its stream's row says, whose lock is held. A call that reached a new month while it waited is not for append_at_once.
CREATE OR REPLACE FUNCTION millrace.times_within_spans(p_aggregate_types text[], p_aggregate_ids text[]) RETURNS timestamptz[]
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_now   timestamptz := clock_timestamp();
    v_times timestamptz[];
BEGIN
    SELECT array_agg(least(s.last_event_at, v_now) ORDER BY n.index) INTO v_times
    FROM unnest(p_aggregate_types, p_aggregate_ids) WITH ORDINALITY AS n (aggregate_type, aggregate_id, index)
    CROSS JOIN LATERAL (
        SELECT t.last_event_at FROM millrace.streams AS t
        WHERE t.aggregate_type = n.aggregate_type AND t.aggregate_id = n.aggregate_id
        LIMIT 1
    ) AS s;
    RETURN v_times;
END
$$;

REVOKE ALL ON FUNCTION millrace.times_within_spans(text[], text[]) FROM PUBLIC;
