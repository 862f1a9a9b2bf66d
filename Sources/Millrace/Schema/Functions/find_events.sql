-- Where events with these ids are stored. A UUIDv7 tells when it was made, so the months that ended more than a day before
-- the oldest of them need not be searched: a day for clocks that disagree. An id that tells no time, or one that has not
-- come yet, may be anywhere.
CREATE OR REPLACE FUNCTION millrace.find_events(p_event_ids uuid[])
RETURNS TABLE (event_id uuid, id bigint, aggregate_type text, aggregate_id text, version int)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_since timestamptz;
BEGIN
    SELECT CASE
        WHEN bool_and(uuid_extract_version(n.event_id) IS NOT DISTINCT FROM 7)
             AND max(uuid_extract_timestamp(n.event_id)) <= clock_timestamp()
        THEN min(uuid_extract_timestamp(n.event_id)) - interval '1 day'
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
