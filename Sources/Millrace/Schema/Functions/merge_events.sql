-- The first step of rebuild_aggregate: the objects of a stream's events merged in version order, where no user's function is needed. is_folded
-- where there is a reducer for the type, or an upcaster for one of the events, and then state says nothing. Bounds as in read_stream, for its
-- reasons.
CREATE OR REPLACE FUNCTION millrace.merge_events(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_version        int,
    p_at             timestamptz,
    OUT is_folded boolean, OUT state jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_stream       millrace.streams;
    v_lifted_types text[];
BEGIN
    SELECT EXISTS (SELECT FROM millrace.aggregate_reducers AS r WHERE r.aggregate_type = p_aggregate_type),
           ARRAY(SELECT u.event_type FROM millrace.event_upcasters AS u)
    INTO is_folded, v_lifted_types;
    IF is_folded THEN
        RETURN;
    END IF;

    SELECT s.* INTO v_stream
    FROM millrace.streams AS s
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;

    SELECT count(*) FILTER (WHERE e.event_type = ANY (v_lifted_types)) > 0,
           CASE WHEN count(*) > 0
               THEN coalesce(
                   millrace.jsonb_merge(e.event_data ORDER BY e.version) FILTER (WHERE jsonb_typeof(e.event_data) = 'object'),
                   '{}'
               )
           END
    INTO is_folded, state
    FROM millrace.events AS e
    WHERE e.aggregate_type = p_aggregate_type AND e.aggregate_id = p_aggregate_id
      AND e.version <= least(p_version, v_stream.version)
      AND e.created_at BETWEEN v_stream.first_event_at AND v_stream.last_event_at
      AND (p_at IS NULL OR e.occurred_at <= p_at);
END
$$;

REVOKE ALL ON FUNCTION millrace.merge_events(text, text, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.merge_events(text, text, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
