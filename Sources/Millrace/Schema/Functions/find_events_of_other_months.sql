-- Which of these ids are stored in another month than p_stored_at's, whose own partition refuses them by its unique
-- constraint. As find_events bounds its search by the time a UUIDv7 tells: of ids made this month it searches nothing.
CREATE OR REPLACE FUNCTION millrace.find_events_of_other_months(p_event_ids uuid[], p_stored_at timestamptz)
RETURNS TABLE (event_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_since timestamptz;
    v_month timestamptz := date_trunc('month', p_stored_at, 'UTC');
    v_next  timestamptz := date_trunc('month', p_stored_at AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF cardinality(p_event_ids) > 0 IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT CASE
        WHEN bool_and(uuid_extract_version(n.event_id) IS NOT DISTINCT FROM 7)
             AND max(uuid_extract_timestamp(n.event_id)) <= clock_timestamp() + interval '1 day'
        THEN least(min(uuid_extract_timestamp(n.event_id)), clock_timestamp()) - interval '1 day'
        ELSE '-infinity'
    END INTO v_since
    FROM unnest(p_event_ids) AS n (event_id)
    WHERE n.event_id IS NOT NULL;

    RETURN QUERY
    SELECT e.event_id
    FROM millrace.events AS e
    WHERE e.event_id = ANY (p_event_ids) AND e.created_at >= v_since AND e.created_at < v_month
    UNION ALL
    SELECT e.event_id
    FROM millrace.events AS e
    WHERE e.event_id = ANY (p_event_ids) AND e.created_at >= v_next;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_events_of_other_months(uuid[], timestamptz) FROM PUBLIC;
