-- Where events with these ids are stored. A UUIDv7 tells when it was made, so months that ended before it was need not be
-- searched, less a day, in both directions, for clocks that disagree: an id whose clock is ahead by no more was stored at
-- most a day before the time it tells, and one that was made a moment ago by such a clock, at most a day before now. An
-- id that tells no time, or one further ahead, may be anywhere.
CREATE OR REPLACE FUNCTION millrace.find_events(p_event_ids uuid[])
RETURNS TABLE (event_id uuid, id bigint, aggregate_type text, aggregate_id text, version int)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_since timestamptz;
BEGIN
    SELECT CASE
        WHEN bool_and(uuid_extract_version(n.event_id) IS NOT DISTINCT FROM 7)
             AND max(uuid_extract_timestamp(n.event_id)) <= clock_timestamp() + interval '1 day'
        THEN least(min(uuid_extract_timestamp(n.event_id)), clock_timestamp()) - interval '1 day'
        ELSE '-infinity'
    END INTO v_since
    FROM unnest(p_event_ids) AS n (event_id)
    WHERE n.event_id IS NOT NULL;

    RETURN QUERY
    SELECT e.event_id, e.id, e.aggregate_type, e.aggregate_id, e.version
    FROM millrace.events AS e
    WHERE e.event_id = ANY (p_event_ids) AND e.created_at >= v_since;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_events(uuid[]) FROM PUBLIC;
