-- Stores what an aggregate's state is after a version of its stream, in place of the snapshot that this decider has of the same shape; those
-- of lower shapes go. The caller vouches for the state. Answers whether it was stored.
--
-- Not where the snapshot there is of a higher version: whoever is late brings nobody back. One of the same version is replaced, because it
-- may be one that cannot be decoded. And nothing is waited for: where another transaction is at the same snapshot, its is as good.
--
-- Only of a version that the stream has, as this transaction sees it: events that it has appended itself count, because the snapshot is
-- committed with them or not at all.
CREATE OR REPLACE FUNCTION millrace.save_snapshot(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_decider        text,
    p_shape          int,
    p_version        int,
    p_state          json
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET lock_timeout = '20ms'
AS $$
DECLARE
    v_version int;
    v_stored  boolean;
BEGIN
    PERFORM millrace.check_snapshot(p_aggregate_type, p_aggregate_id, p_decider, p_shape, p_version, p_state);
    SELECT s.version INTO v_version
    FROM millrace.streams AS s
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;
    IF (p_version <= v_version) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR022',
            MESSAGE = format('the stream %s/%s is at version %s and has no version %s',
                             p_aggregate_type, p_aggregate_id, coalesce(v_version, 0), p_version),
            HINT = 'Take a snapshot of events that are committed, or in the transaction that appends them.';
    END IF;

    BEGIN
        INSERT INTO millrace.snapshots AS n (aggregate_type, aggregate_id, decider, shape, version, state)
        VALUES (p_aggregate_type, p_aggregate_id, p_decider, p_shape, p_version, p_state)
        ON CONFLICT ON CONSTRAINT snapshots_pkey DO UPDATE
        SET version = EXCLUDED.version, state = EXCLUDED.state, taken_at = EXCLUDED.taken_at
        WHERE n.version <= EXCLUDED.version;
        v_stored := FOUND;
        DELETE FROM millrace.snapshots AS n
        WHERE n.aggregate_type = p_aggregate_type AND n.aggregate_id = p_aggregate_id
          AND n.decider = p_decider AND n.shape < p_shape;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END;
    RETURN v_stored;
END
$$;

REVOKE ALL ON FUNCTION millrace.save_snapshot(text, text, text, int, int, json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.save_snapshot(text, text, text, int, int, json) TO millrace_publisher, millrace_admin;
