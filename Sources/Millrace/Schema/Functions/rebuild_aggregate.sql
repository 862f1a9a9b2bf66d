-- The state of an aggregate from its events, in version order: what the reducer of its type makes of them (register_reducer), else their objects
-- merged; what is not an object changes nothing then. NULL where the aggregate has no event (as of then), or where its reducer says that
-- there is no state. Old events are lifted first (register_upcaster).
--
-- As of a version, or of a time, which is the time the publisher says it happened (occurred_at; unless given, the time it
-- was stored): imported history can be walked through as it happened. Of no version beyond the one that the stream's row
-- says, for read_stream's reason.
--
-- Not SECURITY DEFINER, and without a search_path of its own, because reducers and upcasters are users' code: they run as the caller. So
-- whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.rebuild_aggregate(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_version        int         DEFAULT NULL,
    p_at             timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_merged pg_catalog.record;
    v_folded pg_catalog.record;
BEGIN
    SELECT m.is_folded, m.state INTO STRICT v_merged
    FROM millrace.merge_events(p_aggregate_type, p_aggregate_id, p_version, p_at) AS m;
    IF NOT v_merged.is_folded THEN
        RETURN v_merged.state;
    END IF;

    SELECT f.events, f.state INTO STRICT v_folded
    FROM millrace.find_reducer(p_aggregate_type) AS r
    CROSS JOIN LATERAL millrace.fold_stream(
        r.function, r.call, r.upcasters, r.initial, p_aggregate_type, p_aggregate_id, p_version, p_at
    ) AS f;
    RETURN CASE WHEN v_folded.events OPERATOR(pg_catalog.>) 0 THEN v_folded.state END;
END
$$;

REVOKE ALL ON FUNCTION millrace.rebuild_aggregate(text, text, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.rebuild_aggregate(text, text, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
