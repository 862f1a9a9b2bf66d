-- The first step of lock_streams and append_events, which say why it is as it is. Afterwards every stream has a row, locked
-- by this transaction; those that do not exist yet have one of version 0. Returns how many those are.
CREATE OR REPLACE FUNCTION millrace.hold_streams(p_aggregate_types text[], p_aggregate_ids text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_unborn bigint;
BEGIN
    INSERT INTO millrace.streams AS s (aggregate_type, aggregate_id, version)
    SELECT DISTINCT n.aggregate_type COLLATE "C" AS aggregate_type, n.aggregate_id COLLATE "C" AS aggregate_id, 0
    FROM unnest(p_aggregate_types, p_aggregate_ids) AS n (aggregate_type, aggregate_id)
    ORDER BY 1, 2
    ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE SET version = s.version WHERE false;
    GET DIAGNOSTICS v_unborn = ROW_COUNT;
    RETURN v_unborn;
END
$$;

REVOKE ALL ON FUNCTION millrace.hold_streams(text[], text[]) FROM PUBLIC;
